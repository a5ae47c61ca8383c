"""Dead letters: what is kept of a bad event, where, and how it is found again."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from graph.errors import BadEvent, ConfigurationError, ServiceError
from streaming.codec import Codec
from streaming.dead_letters import (
    LONGEST_EVENT_BYTES,
    DeadLetter,
    DeadLetterLimit,
    FileSink,
    list_letters,
    open_sink,
)
from streaming.records import Position, Record
from streaming.replay import read_originals
from streaming.sources.files import FileSource
from streaming.tokens import CardTokenizer

VISA = "4242424242424242"
NOW = 1_750_000_000_000
BROKEN = BadEvent("not_json", "the event is not valid JSON")
codec = Codec(CardTokenizer(b"a key of sixteen bytes, or more"), now=lambda: NOW)


def letter(offset: int, **fields: Any) -> DeadLetter:
    least: dict[str, Any] = {"partition": "t/0", "reason": "not_json", "message": "m", "time": NOW}
    return DeadLetter(offset=offset, **(least | fields))


def kept(value: Any, error: BadEvent = BROKEN, raw: bytes | None = None) -> str | None:
    return DeadLetter.of(Record("t/0", 0, value, raw=raw), error, lambda: NOW).event


def test_a_letter_says_where_why_and_when() -> None:
    made = DeadLetter.of(Record("t/0", 7, b"{"), BROKEN, lambda: NOW)
    assert made == letter(7, message="the event is not valid JSON", event="{")
    assert json.loads(made.encode()) == {
        "partition": "t/0",
        "offset": 7,
        "reason": "not_json",
        "message": "the event is not valid JSON",
        "time": NOW,
        "event": "{",
    }


def test_a_sorted_rows_letter_says_where_it_stands_in_the_file() -> None:
    record = Record("f|sorted", 1, b"{", origin=Position("f", 9))
    assert DeadLetter.of(record, BROKEN).position == Position("f", 9)


@pytest.mark.parametrize(
    "value",
    [
        f'{{"card": "{VISA}"'.encode(),
        f'{{"card": {VISA}'.encode(),
        b'{"card": "4242-4242 4242.4242"',
        b"\xff" + VISA.encode(),
        {"card": VISA, "amount": ""},
        {"card": VISA.encode()},
        {VISA: "a header that is none"},
        {"card": float(VISA)},
    ],
)
def test_card_numbers_are_masked(value: Any) -> None:
    event = kept(value)
    assert event is not None
    assert "****" in event
    assert "42" not in event


def test_what_the_source_could_not_read_is_masked_too() -> None:
    assert kept(BROKEN, raw=b"1,4242424242424242,x") == "1,****,x"
    assert kept(BROKEN) is None


def test_a_refused_transaction_is_shown_with_its_tokens() -> None:
    read = codec.decode({"transaction_id": "t1", "event_time": NOW, "card": VISA, "amount": 1})
    event = kept(read)
    assert event is not None
    assert read.card in event
    assert "4242424242" not in event


@pytest.mark.parametrize(
    "value",
    [
        b'{"transaction_id": "t1", "cvv": "123"}',
        b'{"cvv": "123"',
        {"transaction_id": "t1", "Track2": ";4242"},
        b'{"amount": -1, "note": "cvv: 123"}',
    ],
)
def test_of_an_event_with_a_secret_nothing_is_kept(value: Any) -> None:
    with pytest.raises(BadEvent) as refused:
        codec.decode(value)
    assert kept(value, refused.value) is None


def test_long_events_are_cut_after_masking() -> None:
    event = kept(b"x" * (LONGEST_EVENT_BYTES - 8) + VISA.encode() + b"y" * 100)
    assert event is not None
    assert len(event) == LONGEST_EVENT_BYTES
    assert event.endswith("x****yyyy")


def test_a_file_keeps_each_position_once_even_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "letters.jsonl"
    for _ in range(2):
        sink = open_sink(str(path))
        for offset in (1, 2, 1):
            sink.write(letter(offset))
        sink.flush()
        sink.write(letter(2))
        sink.close()
    assert [each.offset for each in list_letters(str(path))] == [1, 2]
    assert len(path.read_bytes().splitlines()) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_last_line_is_cut_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    sink = FileSink(path)
    sink.write(letter(1))
    sink.write(letter(2))
    sink.close()
    path.write_bytes(path.read_bytes()[:-10])
    sink = FileSink(path)
    sink.write(letter(1))
    sink.write(letter(2))
    sink.close()
    assert list(list_letters(str(path))) == [letter(1), letter(2)]


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "letters.jsonl"
    sink = FileSink(path)
    sink.write(letter(1))
    sink.flush()
    sink.write(letter(2))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ServiceError, match="No space left on device"):
            sink.flush()
    assert path.read_bytes() == before
    sink.write(letter(2))
    sink.close()
    assert list(list_letters(str(path))) == [letter(1), letter(2)]


def test_a_flood_of_letters_is_written_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    sink = FileSink(path)
    for offset in range(2500):
        sink.write(letter(offset))
    assert len(list(list_letters(str(path)))) == 2000
    sink.close()
    assert len(list(list_letters(str(path)))) == 2500


def test_where_nothing_can_be_written_or_read_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        open_sink(str(tmp_path / "file" / "letters.jsonl"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list(list_letters(str(tmp_path / "none.jsonl")))
    with pytest.raises(ConfigurationError, match="standard output"):
        list(list_letters("-"))


def test_standard_output_takes_lines(capsys: pytest.CaptureFixture[str]) -> None:
    sink = open_sink("-")
    sink.write(letter(1))
    sink.close()
    assert capsys.readouterr().out.encode() == letter(1).encode() + b"\n"


def test_a_bad_deploy_is_stopped_and_the_commonest_reasons_are_named() -> None:
    limit = DeadLetterLimit(share=0.5, window=1000)
    limit.observe(900, ["is not JSON"] * 900)  # not enough to tell
    with pytest.raises(ServiceError, match=r"901 of the last 1000 .*: 900 times is not JSON; 1 times card is"):
        limit.observe(100, ["card is missing"])


def test_what_is_long_ago_does_not_count_towards_the_limit() -> None:
    limit = DeadLetterLimit(share=0.5, window=1000)
    limit.observe(400, ["not_json"] * 400)
    limit.observe(600, [])
    for _ in range(10):
        limit.observe(500, ["not_json"] * 250)
    limit.observe(1000, [])
    limit.observe(500, ["not_json"] * 500)
    with pytest.raises(ServiceError):
        limit.observe(500, ["not_json"])


def test_originals_are_read_again_by_position(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("".join(f'{{"{name}": {VISA}{number}\n' for number in range(5)))
    source = FileSource(str(tmp_path / "*"))
    first, second = source.assigned()
    letters = [DeadLetter.of(record, BROKEN) for record in source.read(5, 0.0) + source.read(5, 0.0)]
    wanted = [letters[8], letters[3], letters[1], letter(99, partition=second)]
    found = list(read_originals(wanted, FileSource.at))
    assert [each.position for each, _ in found] == [(first, 1), (first, 3), (second, 3), (second, 99)]
    expected = [f'{{"{name}": {VISA}{number}' for name, number in (("a.jsonl", 1), ("a.jsonl", 3), ("b.jsonl", 3))]
    assert [record.value.decode() if record else None for _, record in found] == [*expected, None]
