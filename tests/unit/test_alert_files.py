"""Alerts in a file that several workers write to."""

from __future__ import annotations

import fcntl
import json
import threading
from pathlib import Path

from streaming.line_file import LineFile
from streaming.publishers import FilePublisher
from streaming.ring_store import Letter

GRAPH = "ringwatch/graph"


def letter(number: int, lane: str = "p", source: str = GRAPH) -> Letter:
    body = {"outboxlane": lane, "outboxnumber": number, "source": source}
    return Letter(lane, number, key="ring", body=json.dumps(body))


def test_what_another_worker_has_written_meanwhile_is_published(tmp_path: Path) -> None:
    one, other = (FilePublisher(tmp_path / "alerts.jsonl", GRAPH) for _ in range(2))
    one.publish([letter(1), letter(2)], {})
    assert other.published("p") == 2
    one.publish([letter(3), letter(1, "q")], {})
    assert [other.published(lane) for lane in "pqr"] == [3, 1, 0]


def test_lines_of_other_graphs_and_of_others_count_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"\xff\xfe\nnot JSON\n{}\n")
    FilePublisher(path, "ringwatch/another").publish([letter(7, source="ringwatch/another")], {})
    publisher = FilePublisher(path, GRAPH)
    assert publisher.published("p") == 0
    publisher.publish([letter(1)], {})
    assert publisher.published("p") == 1


def test_a_line_that_somebody_else_is_about_to_finish_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b"half of ")
        opening = threading.Thread(target=LineFile, args=(path, "lines", 0o600))
        opening.start()
        opening.join(0.2)
        assert opening.is_alive()
        file.write(b"a line\n")
    opening.join()
    assert path.read_bytes() == b"half of a line\n"
