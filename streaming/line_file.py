"""A file that grows by whole lines, each synced to disk before it counts as written."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graph.errors import ConfigurationError, ServiceError


class LineFile:
    """Appends lines. A torn last line, which a crash may leave, is cut when the file is opened again.

    ``what`` names the lines in messages; ``mode`` is the file's if it is made. Several processes may append to one
    file. A device or a pipe is only appended to: there is nothing in it to recover.
    """

    def __init__(self, path: Path, what: str, mode: int) -> None:
        self._path = path
        self._what = what
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
            self._file = os.fdopen(descriptor, "ab+", buffering=0)
            self._is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            if self._is_regular:
                with self._alone():
                    self._file.truncate(sum(map(len, self.lines())))
        except OSError as error:
            raise ConfigurationError(f"{what} cannot be written to {path}: {error.strerror}") from error

    def lines(self, start: int = 0) -> Iterator[bytes]:
        """The whole lines that stand in the file, from a byte on."""
        if not self._is_regular:
            return
        with self._path.open("rb") as file:
            file.seek(start)
            for line in file:
                if line.endswith(b"\n"):
                    yield line

    def append(self, lines: bytes) -> None:
        """Append and sync.

        Raises:
            ServiceError: the disk is full, say; the file is as it was.
        """
        try:
            if self._is_regular:
                with self._alone():
                    self._write_whole(lines)
            else:
                self._write(lines)
        except OSError as error:
            raise ServiceError(f"{self._what} cannot be written to {self._path}: {error.strerror}") from error

    def _write_whole(self, lines: bytes) -> None:
        start = self._file.seek(0, os.SEEK_END)
        try:
            self._write(lines)
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(start)
            raise

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[self._file.write(rest) :]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What looks like a torn line may be one that another process is about to finish."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
