"""The embedded engine, shared by everyone who names the same folder, and how any graph address is opened.

The first to name a folder starts the engine there as a child process and owns it; whoever comes while it runs
joins it over Bolt. It ends with its owner, or after that with the last one that still uses it, also when they
are killed: :mod:`graph.embedded_server` says how locks decide that. Nothing restarts an engine that is in use: if
it dies, calls fail as :class:`~graph.errors.Ended`, and the next start recovers what was committed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from graph import embedded_server
from graph.driver import Graph, connect
from graph.embedded_server import CLIENTS_LOCK, ENDPOINT, ENGINE_LOCK, LOG, lock
from graph.errors import ConfigurationError, Ended, ServiceError

#: Where ``embedded`` keeps its graph, below the current folder.
DEFAULT_DIRECTORY = Path(".ringwatch")

_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
#: Half of the heap is the engine's page cache: a graph that outgrows it is read from the disk again and again.
_SMALLEST_HEAP, _LARGEST_HEAP = 2**30, 2**33

_SCHEMES = {"bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"}
_START_LOCK = "start.lock"

#: A disk with less than this (bytes) is full: the engine grows its files by more.
_LITTLE_SPACE = 2**20

#: How long an engine may take to start, or to stop.
_LIMIT_S = 120.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddedEngine:
    """A running engine: where it answers, where it keeps its data, and whether this process started it."""

    uri: str
    user: str
    password: str = field(repr=False)
    database: str
    pid: int
    directory: Path
    owned: bool


def is_embedded(address: str) -> bool:
    """Whether ``address`` names an embedded engine (``embedded`` or ``embedded:…``)."""
    return address.partition(":")[0] == "embedded"


@contextmanager
def embedded_engine(address: str, heap: str | None = None) -> Iterator[EmbeddedEngine]:
    """Start the engine that ``address`` names, or join it where it runs already, for as long as the context lasts.

    Args:
        address: ``embedded`` (kept in ``.ringwatch`` below the current folder), ``embedded:FOLDER`` (kept there)
            or ``embedded:temporary`` (deleted at the end).
        heap: the engine's largest Java heap, as in ``512m`` or ``2g`` (by default a quarter of the memory, from 1
            to 8 GiB); one that runs already keeps its own.

    Raises:
        ConfigurationError: the folder cannot be used.
        ServiceError: the engine did not start, or the one before it did not stop in time; the message names
            its log.
    """
    with ExitStack() as stack:
        with _explained(address):
            if temporary := address == "embedded:temporary":
                made = tempfile.TemporaryDirectory(prefix="ringwatch-", ignore_cleanup_errors=True)
                directory = Path(stack.enter_context(made))
            else:
                directory = _directory(address)
            folder = _private_folder(directory)
            lease = stack.enter_context(_await_lock(folder, CLIENTS_LOCK, fcntl.LOCK_SH, "stop"))
            endpoint, child = _join_or_start(folder, heap, discard=temporary)
        try:
            yield EmbeddedEngine(**endpoint, directory=directory, owned=child is not None)
        finally:
            if child is None:
                _leave(folder, lease)
            else:
                lease.close()
                _stop(child)


@contextmanager
def open_graph(
    address: str,
    *,
    user: str | None,
    password: str | None,
    database: str | None = None,
    patience_s: float,
) -> Iterator[Graph]:
    """Open the graph at ``address``, starting or joining its engine where it is an embedded one.

    An embedded engine has credentials of its own, and ``user``, ``password`` and ``database`` do not apply to it.
    The schema is not touched.

    Raises:
        ConfigurationError: the address cannot be used as it is, or credentials are missing or refused.
        ServiceError: the embedded engine did not start.
        Unavailable: nothing answered for ``patience_s`` seconds.
    """
    if is_embedded(address):
        with (
            embedded_engine(address) as engine,
            closing(
                connect(
                    engine.uri,
                    engine.user,
                    engine.password,
                    database=engine.database,
                    patience_s=patience_s,
                    ended=partial(_end_of, engine),
                )
            ) as graph,
            _full_disk_named(engine.directory),
        ):
            yield graph
        return
    _check(address)
    if not user or not password:
        raise ConfigurationError("set RINGWATCH_GRAPH_USER and RINGWATCH_GRAPH_PASSWORD for the graph")
    with closing(connect(address, user, password, database=database, patience_s=patience_s)) as graph:
        yield graph


def _check(address: str) -> None:
    """Refuse an address that cannot be right, without quoting what may hold a password."""
    if "@" in address:
        raise ConfigurationError(
            "the graph's address holds credentials: give them as RINGWATCH_GRAPH_USER and RINGWATCH_GRAPH_PASSWORD"
        )
    try:
        parts = urlsplit(address)
        valid = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{address!r} is not a graph address: use embedded, embedded:FOLDER, embedded:temporary, "
            "bolt://HOST:PORT or neo4j://HOST:PORT (+s for TLS)"
        )


def _directory(address: str) -> Path:
    kind, _, name = address.partition(":")
    if kind != "embedded" or address.endswith(":"):
        raise ConfigurationError(f"{address!r} is not embedded, embedded:FOLDER or embedded:temporary")
    return (Path(name).expanduser() if name else DEFAULT_DIRECTORY).absolute()


@contextmanager
def _explained(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = ServiceError if full else ConfigurationError
        raise kind(f"the graph cannot be kept in {address!r}: {error.strerror or error}") from error


@contextmanager
def _full_disk_named(directory: Path) -> Iterator[None]:
    """Say so where what failed lacked space: the engine's own word for that is an error on commit."""
    try:
        yield
    except (ServiceError, Ended) as error:
        if shutil.disk_usage(directory).free < _LITTLE_SPACE:
            raise ServiceError(f"the disk with {directory} is full: {error}") from error
        raise


def _private_folder(directory: Path) -> Path:
    """The engine's folder in ``directory``, made where it is missing, that nobody else may look into."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = directory / "engine"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    return folder


def _await_lock(folder: Path, name: str, mode: int, what: str) -> IO[bytes]:
    """Take a lock of ``folder``, which an engine that is about to ``what`` may hold for some seconds."""
    deadline = time.monotonic() + _LIMIT_S
    while (file := lock(folder / name, mode)) is None:
        if time.monotonic() > deadline:
            raise ServiceError(
                f"an earlier embedded engine did not {what} within {_LIMIT_S:.0f} s: its log is {folder / LOG}"
            )
        time.sleep(0.05)
    return file


def _join_or_start(
    folder: Path, heap: str | None, *, discard: bool
) -> tuple[dict[str, Any], subprocess.Popen[str] | None]:
    """The endpoint of the folder's engine, and its process where it was started here."""
    with _await_lock(folder, _START_LOCK, fcntl.LOCK_EX, "start"):
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline:
            if not _is_running(folder):
                (folder / ENDPOINT).unlink(missing_ok=True)
                if child := _start(folder, heap, discard=discard):
                    return _endpoint(folder), child
            elif (folder / ENDPOINT).exists():
                return _endpoint(folder), None
            time.sleep(0.05)  # another engine is on its way up (its starter was killed) or down
    raise ServiceError(f"an earlier embedded engine does not answer: its log is {folder / LOG}")


def _is_running(folder: Path) -> bool:
    if (free := lock(folder / ENGINE_LOCK, fcntl.LOCK_SH)) is None:
        return True
    free.close()
    return False


def _end_of(engine: EmbeddedEngine) -> str | None:
    """What is to be said of an engine that has died, whoever may have started another one in its folder since."""
    folder = engine.directory / "engine"
    with suppress(FileNotFoundError):
        if _is_running(folder) and _endpoint(folder)["pid"] == engine.pid:
            return None
    return f"the embedded engine has died, and the next start goes on with its graph: its log is {folder / LOG}"


def _endpoint(folder: Path) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads((folder / ENDPOINT).read_text()))


def usual_heap(physical: int, limit: Path) -> str:
    """A quarter of the machine's bytes, or of those that a control group's file allows, as the JVM spells it."""
    memory = physical
    with suppress(OSError, ValueError):  # no control group, or one without a limit
        memory = min(memory, int(limit.read_text()))
    return f"{min(max(memory // 4, _SMALLEST_HEAP), _LARGEST_HEAP) // 2**20}m"


def _start(folder: Path, heap: str | None, *, discard: bool) -> subprocess.Popen[str] | None:
    """Start an engine, or return None where another one was faster."""
    if heap is None:
        heap = usual_heap(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), _GROUP_LIMIT)
    command = [sys.executable, "-P", embedded_server.__file__, str(folder), heap]
    with (folder / LOG).open("a") as output:
        child = subprocess.Popen(
            command + ["--discard"] * discard,
            cwd=folder,  # ArcadeDB writes its own files below it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal must not reach the engine before its clients drain
        )
    try:
        reply = _reply(child)
    except BaseException:
        _let_go(child)
        raise
    if reply == "ready":
        return child
    _let_go(child)
    code = child.wait()
    if reply == "busy":
        return None
    why = reply.removeprefix("failed ") or f"it ended with code {code}"
    raise ServiceError(f"the embedded engine did not start: {why}; its log is {folder / LOG}")


def _reply(child: subprocess.Popen[str]) -> str:
    """The engine's next line, empty when it has ended."""
    assert child.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        answered = selector.select(_LIMIT_S)
    if not answered:
        raise ServiceError(f"the embedded engine did not answer within {_LIMIT_S:.0f} s")
    return child.stdout.readline().strip()


def _let_go(child: subprocess.Popen[str]) -> None:
    """Close the pipes: the engine ends by itself, once nobody uses it."""
    for pipe in (child.stdin, child.stdout):
        assert pipe
        pipe.close()


def _leave(folder: Path, lease: IO[bytes]) -> None:
    """Give the lease back; where that was the last one and the owner has gone, wait until the engine has too."""
    with lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    _await_lock(folder, ENGINE_LOCK, fcntl.LOCK_SH, "stop").close()


def _stop(child: subprocess.Popen[str]) -> None:
    """Wait until the engine has stopped, or has been kept for others."""
    assert child.stdin
    child.stdin.close()
    try:
        if _reply(child) == "kept":
            log.info("graph_engine_kept", extra={"pid": child.pid})
            return
    except ServiceError:
        log.warning("graph_engine_killed", extra={"pid": child.pid})
        child.kill()  # what was committed is in its log of writes
    finally:
        _let_go(child)
    child.wait()
