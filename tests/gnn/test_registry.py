"""The registry in a folder and in a bucket (a real client, an emulator): versions, decisions, two writers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from gnn.registry import OvertakenError, Registry, open_registry
from gnn.store import ChangedError, Store, open_store
from graph.errors import ConfigurationError, Unavailable
from tests.services.cloud_storage import CloudStorageServer

DECIDED: Any = {"reason": "better", "by": "somebody", "at": 1_700_000_000_000}
MEASURED = {
    "average_precision": 0.5,
    "interval": [0.4, 0.6],
    "brier": 0.01,
    "budgets": [{"share": 0.01, "recall": 0.3, "precision": 0.6}],
}


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.cloud_storage)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "models")
    return str(request.getfixturevalue("bucket"))


@pytest.fixture
def store(address: str) -> Store:
    return open_store(address)


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)


def model(folder: Path, weights: str = "weights") -> Path:
    """A model as far as a registry looks into it."""
    (folder / "arrival").mkdir(parents=True)
    (folder / "arrival" / "trees-0.txt").write_text(weights)
    moments = {"arrival": {"promoted": "labels", "contenders": {"labels": MEASURED}, "reliability": []}}
    card = {"snapshot_digest": "d", "complaint_days": 7, "learned_until": 1_700_000_000_000, "moments": moments}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_a_version_is_what_was_registered(registry: Registry, tmp_path: Path) -> None:
    assert registry.versions() == []
    source = model(tmp_path / "model")
    version = registry.register(source)
    assert version.name.startswith("20231114-")
    assert registry.versions() == [version]
    assert version.moments["arrival"].contenders["labels"].budgets[0].recall == 0.3
    fetched = registry.fetch(version.name, tmp_path / "cache")
    for path in version.files:
        assert (fetched / path).read_bytes() == (source / path).read_bytes()


def test_equal_content_is_one_version_and_other_content_another(registry: Registry, tmp_path: Path) -> None:
    first = registry.register(model(tmp_path / "one"))
    assert registry.register(model(tmp_path / "same")) == first
    other = registry.register(model(tmp_path / "other", "other weights"))
    assert registry.versions() == [first, other]


def test_what_is_fetched_and_whole_is_not_fetched_again(registry: Registry, store: Store, tmp_path: Path) -> None:
    version = registry.register(model(tmp_path / "model"))
    cached = registry.fetch(version.name, tmp_path / "cache")
    (tmp_path / "evil").write_text("evil")
    store.upload(tmp_path / "evil", f"versions/{version.name}/files/arrival/trees-0.txt")
    assert registry.fetch(version.name, tmp_path / "cache") == cached
    (cached / "arrival" / "trees-0.txt").write_text("tampered with")
    with pytest.raises(ConfigurationError):
        registry.fetch(version.name, tmp_path / "cache")
    store.upload(
        tmp_path / "model" / "arrival" / "trees-0.txt", f"versions/{version.name}/files/arrival/trees-0.txt"
    )
    registry.fetch(version.name, tmp_path / "cache")
    assert (cached / "arrival" / "trees-0.txt").read_text() == "weights"


def test_a_damaged_file_is_never_handed_out(registry: Registry, store: Store, tmp_path: Path) -> None:
    version = registry.register(model(tmp_path / "model"))
    (tmp_path / "evil").write_text("evil")
    store.upload(tmp_path / "evil", f"versions/{version.name}/files/arrival/trees-0.txt")
    with pytest.raises(ConfigurationError, match="not what was registered"):
        registry.fetch(version.name, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_record_that_leads_elsewhere_is_refused(registry: Registry, store: Store, tmp_path: Path) -> None:
    version = registry.register(model(tmp_path / "model"))
    name = f"versions/{version.name}/version.json"
    standing = store.read(name)
    assert standing
    for wrong in (b"arrival/../../trees-0.txt", b"arrival/trees-1.txt"):
        content = standing.content.replace(b"arrival/trees-0.txt", wrong)
        now = store.read(name)
        assert now
        store.replace(name, content, now.generation)
        with pytest.raises(ConfigurationError, match="damaged"):
            registry.fetch(version.name, tmp_path / "cache")


def test_an_interrupted_registration_leaves_no_version(store: Store, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    class Failing:
        """The store, until one upload too many."""

        uploads = 0

        def upload(self, path: Path, name: str) -> None:
            self.uploads += 1
            if self.uploads > 1:
                raise Interrupted
            store.upload(path, name)

        def __getattr__(self, name: str) -> Callable[..., object]:
            method: Callable[..., object] = getattr(store, name)
            return method

    source = model(tmp_path / "model")
    failing: Store = Failing()  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        Registry(failing).register(source)
    assert store.names("versions/")
    assert Registry(store).versions() == []
    assert Registry(store).fetch(Registry(store).register(source).name, tmp_path / "cache").is_dir()


def test_promotions_and_rollbacks_are_kept_in_order(registry: Registry, tmp_path: Path) -> None:
    first, second = (registry.register(model(tmp_path / text, text)).name for text in ("one", "two"))
    assert registry.promoted() is None
    with pytest.raises(ConfigurationError, match="before the current one"):
        registry.rollback(**DECIDED)
    registry.promote(first, **DECIDED)
    registry.promote(second, **DECIDED)
    assert registry.promoted() == second
    with pytest.raises(ConfigurationError, match="promoted already"):
        registry.promote(second, **DECIDED)
    assert registry.rollback(**DECIDED).version == first
    registry.decline(second, **DECIDED)
    assert registry.promoted() == first
    assert [one.action for one in registry.history()] == ["promoted", "promoted", "rolled back", "declined"]
    with pytest.raises(ConfigurationError, match="no model"):
        registry.promote("20200101-000000000000", **DECIDED)


def test_two_writers_lose_neither_decision(address: str, tmp_path: Path) -> None:
    names = [open_registry(address).register(model(tmp_path / text, text)).name for text in ("one", "two")]
    together = threading.Barrier(2)

    def decide(name: str) -> None:
        registry = open_registry(address)
        together.wait()
        for _ in range(3):
            registry.decline(name, **DECIDED)

    threads = [threading.Thread(target=decide, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decided = [one.version for one in open_registry(address).history()]
    assert sorted(decided) == sorted(names * 3)


def test_who_has_seen_an_old_state_overwrites_nothing(store: Store) -> None:
    store.replace("a/state.json", b"1", None)
    seen = store.read("a/state.json")
    assert seen
    with pytest.raises(ChangedError):
        store.replace("a/state.json", b"2", None)
    store.replace("a/state.json", b"3", seen.generation)
    with pytest.raises(ChangedError):
        store.replace("a/state.json", b"4", seen.generation)
    assert (now := store.read("a/state.json"))
    assert now.content == b"3"


def test_a_promotion_that_was_decided_over_another_model_is_refused(registry: Registry, tmp_path: Path) -> None:
    first, second = (registry.register(model(tmp_path / text, text)).name for text in ("one", "two"))
    before, _ = registry.standing()
    registry.promote(first, **DECIDED)
    with pytest.raises(OvertakenError, match="in the meantime"):
        registry.promote(second, **DECIDED, over=before)
    assert registry.promoted() == first


def test_an_address_is_a_folder_or_a_bucket() -> None:
    for wrong in ("s3://bucket/models", "gs://"):
        with pytest.raises(ConfigurationError):
            open_registry(wrong)


def test_a_bucket_that_is_away_is_said_so(cloud_storage: CloudStorageServer, bucket: str) -> None:
    registry = open_registry(bucket)
    assert registry.promoted() is None
    cloud_storage.stop()
    try:
        with pytest.raises(Unavailable, match="cannot be reached now"):
            registry.promoted()
    finally:
        cloud_storage.start()


def test_credentials_need_not_tell_a_project(
    cloud_storage: CloudStorageServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")  # with it, clients ask for no credentials
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", cloud_storage.url)
    monkeypatch.setattr("google.auth.default", lambda *_, **__: (AnonymousCredentials(), None))  # type: ignore[no-untyped-call]
    assert open_registry(bucket).promoted() is None
