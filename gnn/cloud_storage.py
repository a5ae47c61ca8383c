"""A bucket of Cloud Storage as a store. Credentials are the environment's (Application Default Credentials)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage import Blob, Bucket, Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from gnn.store import REMOTE, ChangedError, Stored
from graph.errors import ConfigurationError, ServiceError, Unavailable

#: What runs beside a stream asks for small files only, and would rather hear soon that they cannot be had.
_SMALL_FILES = DEFAULT_RETRY.with_timeout(10.0)
_SMALL_FILES_TIMEOUT_S = 5.0

_AWAY = (
    exceptions.RetryError,
    exceptions.ServerError,
    exceptions.TooManyRequests,
    requests.RequestException,
    TransportError,
    DataCorruption,
    InvalidResponse,
    ConnectionError,
)


class CloudStore:
    """The objects of a bucket below a prefix. Credentials are looked for when something is asked of it."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._name = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def address(self) -> str:
        """``gs://bucket/prefix``."""
        return f"{REMOTE}{self._name}/{self._prefix}".rstrip("/")

    def names(self, prefix: str = "") -> list[str]:
        """The objects below a prefix, without the empty ones by which consoles mark folders."""
        with translated(self.address):
            found = self._bucket.list_blobs(prefix=self._prefix + prefix)
            return sorted(blob.name.removeprefix(self._prefix) for blob in found if not blob.name.endswith("/"))

    def read(self, name: str) -> Stored | None:
        """An object and its generation, by one request."""
        with translated(self.address):
            blob = self._blob(name)
            try:
                content = blob.download_as_bytes(retry=_SMALL_FILES, timeout=_SMALL_FILES_TIMEOUT_S)
            except exceptions.NotFound:
                return None
        return Stored(content, str(blob.generation))

    def replace(self, name: str, content: bytes, generation: str | None) -> None:
        """Write under the precondition ``ifGenerationMatch``."""
        with translated(self.address):
            try:
                self._blob(name).upload_from_string(
                    content,
                    content_type="application/json",
                    if_generation_match=int(generation or 0),
                    retry=_SMALL_FILES,
                    timeout=_SMALL_FILES_TIMEOUT_S,
                )
            except exceptions.PreconditionFailed as error:
                # The answer to our own write may have been lost, and the client have tried again.
                standing = self.read(name)
                if standing is None or standing.content != content:
                    raise ChangedError(name) from error

    def download(self, name: str, path: Path) -> None:
        """Copy an object; the client compares its checksum."""
        with translated(f"{self.address}/{name}"):
            self._blob(name).download_to_filename(path)

    def upload(self, path: Path, name: str) -> None:
        """Copy a file; it appears when it is whole, and large ones are resumed."""
        with translated(self.address):
            self._blob(name).upload_from_filename(path)

    @cached_property
    def _bucket(self) -> Bucket:
        return storage_client().bucket(self._name)

    def _blob(self, name: str) -> Blob:
        return self._bucket.blob(self._prefix + name)


def storage_client() -> Client:
    """A client for objects alone: these need no project, which credentials do not always tell."""
    return Client(project=None)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what Google's clients raise as :mod:`graph.errors`; ``what`` it is that cannot be had."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable(f"{what} cannot be reached now: {error}") from error
    except exceptions.NotFound as error:
        raise ConfigurationError(f"{what} is not there") from error
    except (GoogleAuthError, exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise ConfigurationError(f"{what} refuses: {error}") from error
    except exceptions.GoogleAPICallError as error:
        raise ServiceError(f"{what}: {error}") from error
    except OSError as error:  # a file's of ours, beside those of the network above
        raise ServiceError(f"{what}: {error}") from error
