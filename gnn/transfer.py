"""Folders that are written once and read whole, wherever they are kept: snapshots and models.

One file seals a folder (a manifest, a card). It is written last, so that what was interrupted is not there yet.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gnn.store import is_remote, open_store
from graph.errors import ConfigurationError

#: What seals a snapshot, and what seals a model.
MANIFEST, CARD = "manifest.json", "card.json"


def refuse_what_is_there(folder: Path, what: str) -> None:
    """Let nothing be written over.

    Raises:
        ConfigurationError: there is a file, or a folder that cannot be looked into or has something in it.
    """
    try:
        is_empty = not any(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{folder} is no folder for {what}: {error.strerror}") from error
    if not is_empty:
        raise ConfigurationError(f"{folder} is not empty: {what} is never changed")


@contextmanager
def fetched(address: str, seal: str) -> Iterator[Path]:
    """The folder at an address: itself, or a copy that is gone afterwards.

    Raises:
        ConfigurationError: what is in the bucket was never finished.
        Unavailable: the bucket cannot be reached.
    """
    if not is_remote(address):
        yield Path(address)
        return
    store = open_store(address)
    names = store.names()
    if seal not in names:
        raise ConfigurationError(f"{address} has no {seal}: there is nothing, or it was never finished")
    with tempfile.TemporaryDirectory(prefix="ringwatch-") as folder:
        for name in names:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            store.download(name, path)
        yield Path(folder)


@contextmanager
def published(address: str, seal: str) -> Iterator[Path]:
    """A folder to write to: the one at the address, or one that is uploaded when the block ends without an error.

    Raises:
        ConfigurationError: the bucket has such a thing at this address already.
        Unavailable: the bucket cannot be reached.
    """
    if not is_remote(address):
        yield Path(address)
        return
    store = open_store(address)
    if store.read(seal) is not None:
        raise ConfigurationError(f"{address} is not empty: what is there is never changed")
    with tempfile.TemporaryDirectory(prefix="ringwatch-") as scratch:
        folder = Path(scratch) / "folder"
        yield folder
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for name in sorted(names, key=lambda name: name == seal):
            store.upload(folder / name, name)
