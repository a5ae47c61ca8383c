"""The embedded engine's own process: ArcadeDB behind a Bolt listener on loopback, and nothing else.

:mod:`graph.embedded` starts this file by its path, so it imports nothing of Ringwatch and works from any folder.
It answers on standard output, a line at a time: ``ready``, ``busy`` or ``failed <why>`` once, and ``kept`` when
its starter has gone and others still use it. Its password is only ever in memory and in the endpoint file.

Who may live is decided by locks on files, since the kernel drops those however a process ends:

- ``engine.lock`` is held by the one engine of a folder, until its last moment;
- ``clients.lock`` is shared by everyone who uses the engine, and taken by the engine before it stops.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import IO, Any

DATABASE = "ringwatch"
USER = "root"

#: What an engine's folder holds beside ArcadeDB's own files.
ENGINE_LOCK = "engine.lock"
CLIENTS_LOCK = "clients.lock"
ENDPOINT = "endpoint.json"
LOG = "engine.log"

_HOST = "127.0.0.1"
_PATIENCE_S = 5.0

_CONFIGURATION = {
    "host": _HOST,
    "bolt_port": "0",
    "bolt_defaultDatabase": DATABASE,
    "bolt_maxMessageSize": 256 * 1024 * 1024,  # a batch above the default of 16 MB would lose its connection
    "http_port": "0",  # it cannot be switched off, and asks for the same password
    "server_mode": "test",  # "production" would keep from us why a statement failed
    "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
}

#: What is no setting of a server, but of all its databases; the mode "production" would imply both.
_PROPERTIES = (
    "-Darcadedb.txWalFlush=1",  # a commit is on the disk before an alert that rests on it leaves
    "-Darcadedb.opencypher.loadCsv.allowFileUrls=false",
    "-Darcadedb.freePageRAM=10",  # a full cache lets go of a tenth; by default of half, which is then read again
)
#: By the letter after a heap's size.
_MIB = {"m": 1, "g": 1024}

_LOGGING = """\
handlers = java.util.logging.ConsoleHandler
.level = WARNING
java.util.logging.ConsoleHandler.formatter = com.arcadedb.log.LogFormatter
"""


def lock(path: Path, mode: int) -> IO[bytes] | None:
    """Take the lock (``fcntl.LOCK_EX`` or ``fcntl.LOCK_SH``) on ``path`` if it is free now.

    Closing the returned file gives it back.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:
        file.close()
        raise
    return file


def serve(folder: Path, heap: str, replies: IO[str], *, discard: bool) -> None:
    """Run the engine of ``folder`` until standard input has closed and its last client has gone."""
    own = _lock_patiently(folder / ENGINE_LOCK)
    if own is None:
        _reply(replies, "busy")
        return
    with own, (folder / CLIENTS_LOCK).open("ab") as clients:
        try:
            engine, endpoint = _started(folder, heap)
            _publish(folder / ENDPOINT, endpoint)
        except Exception as error:
            _reply(replies, f"failed {(str(error).splitlines() or [type(error).__name__])[0]}")
            raise
        _reply(replies, "ready")
        sys.stdin.read()
        if not discard:
            _await_last_client(clients, replies)
        (folder / ENDPOINT).unlink(missing_ok=True)
        engine.stop()
    if discard:
        shutil.rmtree(folder.parent, ignore_errors=True)


def _await_last_client(clients: IO[bytes], replies: IO[str]) -> None:
    try:
        fcntl.flock(clients, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _reply(replies, "kept")
        fcntl.flock(clients, fcntl.LOCK_EX)


def _lock_patiently(path: Path) -> IO[bytes] | None:
    """A client that looks whether an engine runs holds the lock for a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while (file := lock(path, fcntl.LOCK_EX)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return file


def _started(folder: Path, heap: str) -> tuple[Any, dict[str, Any]]:
    from arcadedb_embedded.server import ArcadeDBServer  # late, so that its absence is answered like any failure

    logging = folder / "logging.properties"
    logging.write_text(_LOGGING)
    # The root user of an earlier start would keep its password.
    (folder / "config" / "server-users.jsonl").unlink(missing_ok=True)
    password = secrets.token_urlsafe(32)
    engine = ArcadeDBServer(
        str(folder),
        password,
        _CONFIGURATION,
        jvm_kwargs={
            "heap_size": heap,
            "jvm_args": [
                *_PROPERTIES,
                f"-Darcadedb.maxPageRAM={_page_cache_mib(heap)}",
                f"-Djava.util.logging.config.file={logging}",
            ],
        },
    )
    engine.start()
    engine.create_database(DATABASE)  # or opens, and recovers, the one that is there
    [port] = [plugin.getPort() for plugin in engine._java_server.getPlugins() if hasattr(plugin, "getPort")]
    return engine, {
        "uri": f"bolt://{_HOST}:{port}",
        "user": USER,
        "password": password,
        "database": DATABASE,
        "pid": os.getpid(),
    }


def _page_cache_mib(heap: str) -> int:
    """Half of the heap: by default it is a quarter, which is soon too little for what a stream comes back to."""
    return int(heap[:-1]) * _MIB[heap[-1]] // 2


def _publish(path: Path, endpoint: dict[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(endpoint))  # private by this process's umask
    draft.replace(path)


def _reply(replies: IO[str], line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the starter may have been killed
        print(line, file=replies, flush=True)


def main() -> None:
    """Serve, then leave without waiting for the engine's threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("heap")
    parser.add_argument("--discard", action="store_true", help="delete the data directory at the end")
    arguments = parser.parse_args()
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # its clients drain through it; it ends with the last of them
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the engine prints goes to its log
    try:
        serve(arguments.folder, arguments.heap, replies, discard=arguments.discard)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
