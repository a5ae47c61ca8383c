"""The models that there are, and which of them is used: versions that never change, and decisions about them.

    versions/<name>/version.json   :class:`gnn.versions.Version`, written last: without it there is no such version
    versions/<name>/files/…        the model's files
    promotion.json                 :class:`gnn.versions.Standing`: what is promoted, and every decision so far

Nothing here needs torch, runs what it loads, or unpickles: a running scorer asks what is promoted, fetches it, and
checks each file against its version.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gnn.store import ChangedError, Store, open_store, sha256_of
from gnn.transfer import CARD
from gnn.versions import Action, CardExcerpt, Decision, Standing, Version, decoded, encoded
from graph.errors import ConfigurationError, RingwatchError, ServiceError

_PROMOTION = "promotion.json"
_ATTEMPTS = 5


class OvertakenError(RingwatchError):
    """Somebody else has decided in the meantime; nothing was changed."""


def open_registry(address: str) -> Registry:
    """The registry at a folder's path or at ``gs://bucket/prefix``; it begins empty.

    Raises:
        ConfigurationError: the address is neither, or what buckets need is not installed.
    """
    return Registry(open_store(address))


class Registry:
    """Versions and decisions in a store; every method raises what :class:`gnn.store.Store` does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def address(self) -> str:
        """Where this is, for people."""
        return self._store.address

    def versions(self) -> list[Version]:
        """All versions, in the order in which they were registered."""
        names = [name for name in self._store.names("versions/") if name.endswith("/version.json")]
        return sorted((self.version(name.split("/")[1]) for name in names), key=lambda one: one.registered_at)

    def version(self, name: str) -> Version:
        """One version.

        Raises:
            ConfigurationError: there is none of this name, or its record is damaged.
        """
        found = self._store.read(_record(name))
        if found is None:
            raise ConfigurationError(f"there is no model {name} in {self._store.address}")
        version = decoded(found.content, Version, _record(name))
        if not version.name == name == _name(version.learned_until, version.files):
            raise ConfigurationError(f"{_record(name)} is damaged: it is not what its name says")
        return version

    def promoted(self) -> str | None:
        """The name of the version that is used, by one small read."""
        return self.standing()[0].current

    def history(self) -> list[Decision]:
        """Every decision, oldest first."""
        return list(self.standing()[0].decisions)

    def standing(self) -> tuple[Standing, str | None]:
        """What is promoted and was decided, and the state of the file that says so."""
        found = self._store.read(_PROMOTION)
        if found is None:
            return Standing(), None
        return decoded(found.content, Standing, _PROMOTION), found.generation

    def register(self, model: Path) -> Version:
        """Add the model in a folder, as ``ringwatch train`` writes it; the same files are the same version.

        Raises:
            ConfigurationError: the folder holds no model with a card.
        """
        try:
            card = decoded((model / CARD).read_bytes(), CardExcerpt, str(model / CARD))
            paths = sorted(path for path in model.rglob("*") if path.is_file())
            files = {path.relative_to(model).as_posix(): sha256_of(path) for path in paths}
        except OSError as error:
            raise ConfigurationError(f"{model} holds no model: {error.strerror}") from error
        version = Version(
            name=_name(card.learned_until, files),
            registered_at=round(time.time() * 1000),
            snapshot_digest=card.snapshot_digest,
            complaint_days=card.complaint_days,
            learned_until=card.learned_until,
            moments=card.moments,
            files=files,
        )
        for path in files:
            self._store.upload(model / path, _file(version.name, path))
        try:
            self._store.replace(_record(version.name), encoded(version), None)
        except ChangedError:
            return self.version(version.name)
        return version

    def fetch(self, name: str, into: Path) -> Path:
        """The folder of a version's files below ``into``; they are downloaded unless they are there and whole.

        Raises:
            ConfigurationError: there is no such version, or a file of it is not what was registered.
            ServiceError: the files cannot be written.
        """
        version, folder = self.version(name), into / name
        if _is_whole(folder, version):
            return folder
        try:
            into.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetched-", dir=into) as scratch:
                fresh = Path(scratch) / "fresh"
                for path in version.files:
                    (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                    self._store.download(_file(name, path), fresh / path)
                    if sha256_of(fresh / path) != version.files[path]:
                        raise ConfigurationError(
                            f"{path} of model {name} is not what was registered: do not use it"
                        )
                if folder.exists():
                    folder.rename(Path(scratch) / "damaged")
                try:
                    fresh.rename(folder)
                except OSError:  # another process may have fetched the same
                    if not _is_whole(folder, version):
                        raise
        except OSError as error:
            raise ServiceError(f"model {name} cannot be written to {into}: {error.strerror or error}") from error
        return folder

    def promote(
        self, name: str, *, reason: str, by: str | None, at: int, over: Standing | None = None
    ) -> Decision:
        """Use a version from now on; with ``over``, only in the place of what was promoted then.

        Raises:
            ConfigurationError: there is no such version, or it is promoted already.
            OvertakenError: it was decided otherwise since ``over`` was read.
        """
        self.version(name)

        def promoted(standing: Standing) -> tuple[str, tuple[str, ...]]:
            if standing.current == name:
                raise ConfigurationError(f"{name} is promoted already")
            return name, (*standing.promoted, name)

        return self._decide("promoted", promoted, reason, by, at, over)

    def decline(self, name: str, *, reason: str, by: str | None, at: int) -> Decision:
        """Note that a version was measured and is not used.

        Raises:
            ConfigurationError: there is no such version.
        """
        self.version(name)
        return self._decide("declined", lambda standing: (name, standing.promoted), reason, by, at)

    def rollback(self, *, reason: str, by: str | None, at: int) -> Decision:
        """Use the version that was promoted before the current one again.

        Raises:
            ConfigurationError: there is none.
        """

        def rolled_back(standing: Standing) -> tuple[str, tuple[str, ...]]:
            if len(standing.promoted) < 2:
                raise ConfigurationError("no model was promoted before the current one")
            return standing.promoted[-2], standing.promoted[:-1]

        return self._decide("rolled back", rolled_back, reason, by, at)

    def _decide(
        self,
        action: Action,
        effect: Callable[[Standing], tuple[str, tuple[str, ...]]],
        reason: str,
        by: str | None,
        at: int,
        over: Standing | None = None,
    ) -> Decision:
        """Add a decision to what is standing, again where another one has come in between."""
        for _ in range(_ATTEMPTS):
            standing, generation = self.standing()
            if over is not None and over.current != standing.current:
                raise OvertakenError(f"{standing.current} was promoted in the meantime: compare with that")
            version, promoted = effect(standing)
            decision = Decision(version=version, action=action, reason=reason, by=by, at=at)
            changed = Standing(promoted, (*standing.decisions, decision))
            try:
                self._store.replace(_PROMOTION, encoded(changed), generation)
            except ChangedError:
                continue
            return decision
        raise OvertakenError("others keep deciding about models: try again")


def _record(name: str) -> str:
    return f"versions/{name}/version.json"


def _file(name: str, path: str) -> str:
    return f"versions/{name}/files/{path}"


def _name(learned_until: int, files: dict[str, str]) -> str:
    """The last day that was learned from, and a digest of the content."""
    day = time.strftime("%Y%m%d", time.gmtime(learned_until / 1000))
    content = "".join(f"{sha256} {path}\n" for path, sha256 in sorted(files.items()))
    return f"{day}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _is_whole(folder: Path, version: Version) -> bool:
    try:
        return all(sha256_of(folder / path) == sha256 for path, sha256 in version.files.items())
    except OSError:
        return False
