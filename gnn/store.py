"""Where snapshots, models and checkpoints are kept: a folder or a bucket, behind the few things asked of either.

A file is whole or not there at all. Where several write the same one, each says which state of it they have seen:
the one who comes second is told (:class:`ChangedError`) and overwrites nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graph.errors import ConfigurationError, Unavailable

REMOTE = "gs://"

_LOCK = ".lock"


class ChangedError(Exception):
    """Somebody else has written the file in the meantime; nothing was written."""


@dataclass(frozen=True)
class Stored:
    """A small file, and the state that it was in (``generation``)."""

    content: bytes
    generation: str


class Store(Protocol):
    """Files by name, as in ``versions/a/card.json``.

    Every method raises :class:`graph.errors.Unavailable` while the store cannot be reached, and
    :class:`graph.errors.ConfigurationError` where it refuses or a file that must be there is not.
    """

    @property
    def address(self) -> str:
        """Where this is, for people."""

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with a prefix, in order."""

    def read(self, name: str) -> Stored | None:
        """A small file whole, or None where there is none."""

    def replace(self, name: str, content: bytes, generation: str | None) -> None:
        """Write a small file that is still in a state, or (None) still not there.

        Raises:
            ChangedError: it is not.
        """

    def download(self, name: str, path: Path) -> None:
        """Copy a file to ``path``."""

    def upload(self, path: Path, name: str) -> None:
        """Copy the file at ``path`` here, over what has that name."""


def is_remote(address: str) -> bool:
    """Whether an address is a bucket's.

    Raises:
        ConfigurationError: it is neither that nor a folder's.
    """
    if "://" in address and not address.startswith(REMOTE):
        raise ConfigurationError(f"{address}: a folder or gs://bucket/… is needed")
    return address.startswith(REMOTE)


def open_store(address: str) -> Store:
    """The store at a folder's path or at ``gs://bucket/prefix``; neither has to exist yet.

    Raises:
        ConfigurationError: the address is neither, or what buckets need is not installed.
    """
    if not is_remote(address):
        return FolderStore(Path(address))
    try:
        from gnn.cloud_storage import CloudStore
    except ImportError as error:
        raise ConfigurationError(f"gs:// needs what `pip install 'ringwatch[gcp]'` brings: {error}") from error
    bucket, _, prefix = address.removeprefix(REMOTE).partition("/")
    if not bucket:
        raise ConfigurationError(f"{address} names no bucket")
    return CloudStore(bucket, prefix.strip("/"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FolderStore:
    """A folder, shared by processes on machines that see the same locks."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def address(self) -> str:
        """The folder."""
        return str(self._root)

    def names(self, prefix: str = "") -> list[str]:
        """The files whose paths begin with a prefix, hidden ones left out."""
        with _translated(self._root):
            paths = (path for path in self._root.rglob("*") if path.is_file() and path.name[0] != ".")
            names = (path.relative_to(self._root).as_posix() for path in paths)
            return sorted(name for name in names if name.startswith(prefix))

    def read(self, name: str) -> Stored | None:
        """A file; its content is its state."""
        with _translated(self._root):
            try:
                content = (self._root / name).read_bytes()
            except FileNotFoundError:
                return None
            return Stored(content, hashlib.sha256(content).hexdigest())

    def replace(self, name: str, content: bytes, generation: str | None) -> None:
        """Compare and write under a lock on the whole folder."""
        with _translated(self._root), self._locked():
            standing = self.read(name)
            if (standing and standing.generation) != generation:
                raise ChangedError(name)
            with self._written(name) as path:
                path.write_bytes(content)

    def download(self, name: str, path: Path) -> None:
        """Copy a file out."""
        with _translated(self._root):
            shutil.copyfile(self._root / name, path)

    def upload(self, path: Path, name: str) -> None:
        """Copy a file in; it appears when it is whole."""
        with _translated(self._root), self._written(name) as target:
            shutil.copyfile(path, target)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _written(self, name: str) -> Iterator[Path]:
        """A path beside ``name`` to write to; what is there in the end is synced and takes its place at once."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.parent / f".{uuid.uuid4().hex}"
        try:
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def _translated(root: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise ConfigurationError(f"{root}: {error.strerror}: {error.filename}") from error
    except OSError as error:
        raise Unavailable(f"{root} cannot be used now: {error.strerror or error}") from error
