"""The embedded engine's life: started, joined, left, killed and recovered."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from graph.driver import Graph, connect
from graph.embedded import EmbeddedEngine, embedded_engine, open_graph
from graph.errors import ConfigurationError, Ended, ServiceError
from tests.embedded.conftest import Client, is_alive

pytestmark = pytest.mark.embedded

Start = Callable[[str], Client]


def opened(engine: EmbeddedEngine, patience_s: float = 20) -> closing[Graph]:
    return closing(
        connect(engine.uri, engine.user, engine.password, database=engine.database, patience_s=patience_s)
    )


def probes(engine: EmbeddedEngine) -> list[str]:
    with opened(engine) as graph:
        return [row["id"] for row in graph.read("MATCH (p:Probe) RETURN p.id AS id ORDER BY id")]


def await_death(pid: int) -> None:
    deadline = time.monotonic() + 120
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def listening(pid: int) -> set[tuple[str, int]]:
    """The local addresses (hexadecimal) and ports of the sockets on which a process listens."""
    sockets = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    found = (words[1].split(":") for words in lines if words[3] == "0A" and f"socket:[{words[9]}]" in sockets)
    return {(address, int(port, 16)) for address, port in found}


def page_cache_mib(engine: EmbeddedEngine) -> float:
    """What the engine's own server, of which only its Bolt is used, says of its page cache."""
    (port,) = {port for _, port in listening(engine.pid)} - {urlsplit(engine.uri).port}
    credentials = base64.b64encode(f"{engine.user}:{engine.password}".encode()).decode()
    asked = Request(f"http://127.0.0.1:{port}/api/v1/server", headers={"Authorization": f"Basic {credentials}"})
    with urlopen(asked) as answer:
        most = json.load(answer)["metrics"]["profiler"]["cacheMax"]["space"]
    assert isinstance(most, int)
    return most / 2**20


def test_a_temporary_engine_answers_and_leaves_nothing() -> None:
    with embedded_engine("embedded:temporary", heap="256m") as engine:
        assert engine.owned
        assert is_alive(engine.pid)
        with opened(engine) as graph:
            assert graph.engine == "arcadedb"
            assert graph.read("RETURN 1 AS one") == [{"one": 1}]
    assert not is_alive(engine.pid)
    assert not engine.directory.exists()


def test_the_password_stays_private(tmp_path: Path) -> None:
    with embedded_engine(f"embedded:{tmp_path / 'new'}", heap="256m") as engine:
        endpoint = tmp_path / "new" / "engine" / "endpoint.json"
        assert json.loads(endpoint.read_text())["password"] == engine.password
        assert stat.S_IMODE(endpoint.stat().st_mode) == 0o600
        for folder in (endpoint.parent, engine.directory):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for table in ("cmdline", "environ"):
            assert engine.password not in Path(f"/proc/{engine.pid}/{table}").read_text()
        assert engine.password not in repr(engine)
        assert engine.password not in (endpoint.parent / "engine.log").read_text()
        with pytest.raises(ConfigurationError, match="refused"):
            connect(engine.uri, engine.user, "a wrong password", patience_s=1)
    assert not endpoint.exists()


def test_it_listens_on_loopback_only() -> None:
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    with embedded_engine("embedded:temporary", heap="256m") as engine:
        assert listening(engine.pid)
        assert {address for address, _ in listening(engine.pid)} <= loopback


def test_half_of_its_heap_caches_pages() -> None:
    with embedded_engine("embedded:temporary", heap="256m") as engine:
        assert page_cache_mib(engine) == 128


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    address = f"embedded:{tmp_path}"
    for expected in ([], ["kept"]):
        with embedded_engine(address, heap="256m") as engine, opened(engine) as graph:
            assert probes(engine) == expected
            graph.write(lambda tx: tx.run("MERGE (:Probe {id: 'kept'})"))


def test_a_second_process_joins_and_leaves_the_engine_running(tmp_path: Path, client: Start) -> None:
    with embedded_engine(f"embedded:{tmp_path}", heap="256m") as engine:
        joiner = client(f"embedded:{tmp_path}")
        assert joiner.hear() == {"owned": False, "pid": engine.pid, "uri": engine.uri}
        joiner.ask("write a")
        joiner.leave()
        assert probes(engine) == ["a"]
    assert not is_alive(engine.pid)


def test_an_engine_outlives_its_owner_until_the_last_client_has_gone(tmp_path: Path, client: Start) -> None:
    with embedded_engine(f"embedded:{tmp_path}", heap="256m") as engine:
        first, second = client(f"embedded:{tmp_path}"), client(f"embedded:{tmp_path}")
        assert not first.hear()["owned"]
        assert not second.hear()["owned"]
    assert first.ask("write a") == 1
    first.leave()
    assert second.ask("write b") == 2
    second.kill()
    await_death(engine.pid)
    with embedded_engine(f"embedded:{tmp_path}", heap="256m") as successor:
        assert successor.owned
        assert probes(successor) == ["a", "b"]


def test_the_engine_of_a_killed_owner_ends_and_is_taken_over(tmp_path: Path, client: Start) -> None:
    owner = client(f"embedded:{tmp_path}")
    orphan = owner.hear()["pid"]
    owner.ask("write committed")
    assert owner.ask("hold uncommitted") == "held"
    owner.kill()
    await_death(orphan)
    with embedded_engine(f"embedded:{tmp_path}", heap="256m") as engine:
        assert engine.owned
        assert probes(engine) == ["committed"]


def test_whoever_comes_at_once_after_a_killed_owner_has_an_engine_and_leaves_none(
    tmp_path: Path, client: Start
) -> None:
    owner = client(f"embedded:{tmp_path}")
    orphan = owner.hear()["pid"]
    owner.ask("write a")
    owner.kill()
    with embedded_engine(f"embedded:{tmp_path}", heap="256m") as engine:  # the orphan, if it is not stopping yet
        assert engine.owned == (engine.pid != orphan)
        assert probes(engine) == ["a"]
    assert not is_alive(orphan)
    assert not is_alive(engine.pid)


def test_a_killed_owner_leaves_no_temporary_folder(client: Start) -> None:
    owner = client("embedded:temporary")
    pid = owner.hear()["pid"]
    folder = Path(f"/proc/{pid}/cwd").readlink().parent
    assert folder.is_dir()
    owner.kill()
    await_death(pid)
    assert not folder.exists()


def test_the_next_start_recovers_after_the_engine_was_killed(tmp_path: Path) -> None:
    address = f"embedded:{tmp_path}"
    with (
        embedded_engine(address, heap="256m") as engine,
        open_graph(address, user=None, password=None, patience_s=1) as graph,
    ):
        graph.write(lambda tx: tx.run("UNWIND range(1, 5000) AS i CREATE (:Probe {id: toString(i)})"))
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(Ended, match=r"has died, and the next start goes on .*engine\.log$"):
            graph.read("RETURN 1")
    with embedded_engine(f"embedded:{tmp_path}", heap="256m") as successor:
        assert successor.owned
        assert len(probes(successor)) == 5000


def test_processes_that_start_at_once_share_one_engine(tmp_path: Path, client: Start) -> None:
    clients = [client(f"embedded:{tmp_path}") for _ in range(4)]
    engines = [each.hear() for each in clients]
    assert len({engine["pid"] for engine in engines}) == 1
    assert sum(engine["owned"] for engine in engines) == 1
    for each in clients:
        each.ask(f"write {each.process.pid}")
    assert clients[0].ask("count") == 4


def test_signals_to_the_engine_do_not_end_it_before_its_clients() -> None:
    with embedded_engine("embedded:temporary", heap="256m") as engine:
        assert os.getpgid(engine.pid) != os.getpgrp()  # a Ctrl-C in the terminal does not even reach it
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(engine.pid, number)
        with opened(engine) as graph:
            assert graph.write(lambda tx: tx.run("CREATE (p:Probe {id: 'a'}) RETURN p.id AS id")) == [{"id": "a"}]


def test_a_failed_start_names_the_log(tmp_path: Path) -> None:
    with (
        pytest.raises(ServiceError, match=r"did not start: .*engine\.log$") as failure,
        embedded_engine(f"embedded:{tmp_path}", heap="nonsense"),
    ):
        pass
    assert "\n" not in str(failure.value)
    with embedded_engine(f"embedded:{tmp_path}", heap="256m") as engine:
        assert engine.owned


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_without_space() -> None:
        with open_graph("embedded:temporary", user=None, password=None, patience_s=30) as graph:
            monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
            graph.read("RETURN 1 +")

    with pytest.raises(ServiceError, match=r"the disk with .* is full: the graph refused a statement"):
        fail_without_space()


def test_a_folder_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match=r"cannot be kept in .*Not a directory"),
        embedded_engine(f"embedded:{tmp_path / 'file' / 'below'}"),
    ):
        pass


def test_embedded_alone_is_kept_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_graph("embedded", user=None, password=None, patience_s=20) as graph:
        graph.write(lambda tx: tx.run("CREATE (:Probe {id: 'a'})"))
    with embedded_engine(f"embedded:{tmp_path / '.ringwatch'}", heap="256m") as engine:
        assert probes(engine) == ["a"]


def test_a_batch_above_the_engine_s_own_message_limit_is_taken(embedded: EmbeddedEngine) -> None:
    rows = ["x" * 1_000_000] * 20
    with opened(embedded) as graph:
        assert graph.read("RETURN size($rows) AS size", rows=rows) == [{"size": 20}]
