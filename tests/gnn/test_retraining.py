"""Training in a container of Vertex AI, as far as it can be had here: its variables, a bucket, being cut off."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnn.cloud_storage import CloudStore, storage_client
from gnn.contenders import SERVABLE
from gnn.manifest import read_manifest
from gnn.recipe import Recipe
from gnn.registry import open_registry
from gnn.snapshot import write_snapshot
from gnn.storage import load
from gnn.store import Store, open_store
from gnn.training import MOMENTS, train
from gnn.transfer import CARD, MANIFEST, fetched, published
from graph.errors import ConfigurationError, ServiceError
from tests.gnn.histories import bursts

PATIENCE_S = 240


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("retraining") / "snapshot"
    write_snapshot(*bursts(3, 800), folder, origin="test")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, address: str, seal: str) -> None:
    with published(address, seal) as target:
        shutil.copytree(folder, target)


def test_a_snapshot_comes_back_from_a_bucket_as_it_was(snapshot: Path, bucket: str) -> None:
    put(snapshot, bucket, MANIFEST)
    with fetched(bucket, MANIFEST) as copy:
        assert read_manifest(copy) == read_manifest(snapshot)
        assert files(copy) == files(snapshot)
    assert not copy.exists()
    with pytest.raises(ConfigurationError, match="never changed"):
        put(snapshot, bucket, MANIFEST)


def test_an_upload_that_was_interrupted_is_no_snapshot_and_can_be_done_again(
    snapshot: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = CloudStore.upload

    def interrupted(store: CloudStore, path: Path, name: str) -> None:
        if len(store.names()) == len(files(snapshot)) - 1:
            raise KeyboardInterrupt
        upload(store, path, name)

    with monkeypatch.context() as patch:
        patch.setattr(CloudStore, "upload", interrupted)
        with pytest.raises(KeyboardInterrupt):
            put(snapshot, bucket, MANIFEST)
    assert open_store(bucket).names()
    with pytest.raises(ConfigurationError, match="never finished"), fetched(bucket, MANIFEST):
        pass
    put(snapshot, bucket, MANIFEST)
    with fetched(bucket, MANIFEST) as copy:
        assert files(copy) == files(snapshot)


def test_what_consoles_mark_folders_with_is_left_out(snapshot: Path, bucket: str) -> None:
    put(snapshot, bucket, MANIFEST)
    name, _, folder = bucket.removeprefix("gs://").partition("/")
    for marked in (f"{folder}/", f"{folder}/arrival/"):
        storage_client().bucket(name).blob(marked).upload_from_string(b"")
    with fetched(bucket, MANIFEST) as copy:
        assert files(copy) == files(snapshot)


def test_a_copy_that_cannot_be_written_is_said(snapshot: Path, bucket: str, tmp_path: Path) -> None:
    put(snapshot, bucket, MANIFEST)
    with pytest.raises(ServiceError, match="No such file or directory"):
        open_store(bucket).download(MANIFEST, tmp_path / "nowhere" / "copy")


def test_nothing_is_uploaded_when_what_writes_it_fails(snapshot: Path, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        put(tmp_path / "nowhere", bucket, MANIFEST)
    with pytest.raises(ConfigurationError, match="there is nothing"), fetched(bucket, MANIFEST):
        pass


def test_a_run_that_was_cut_off_ends_with_what_one_without_a_break_ends_with(
    snapshot: Path, tmp_path: Path
) -> None:
    recipe = Recipe(epochs=1, hidden=8, embedding=4, fan_out=(4, 2))

    class CutOff(Exception):
        pass

    def train_to(out: str, checkpoints: Store | None = None, until: str = "") -> None:
        def told(doing: str) -> None:
            if doing == until:
                raise CutOff

        folders = snapshot, tmp_path / out
        train(*folders, complaint_days=2, seeds=[0], recipe=recipe, checkpoints=checkpoints, told=told)

    train_to("at-once")
    kept = open_store(str(tmp_path / "checkpoints"))
    with pytest.raises(CutOff):
        train_to("resumed", kept, until="later: embeddings")
    assert not (tmp_path / "resumed").exists()
    [damaged, *_] = [
        name for name in kept.names() if name.endswith("arrival/0/network/early/network-0.safetensors")
    ]
    kept.upload(snapshot / "manifest.json", damaged)
    train_to("resumed", kept)
    assert files(tmp_path / "resumed") == files(tmp_path / "at-once")


def test_a_container_that_is_killed_goes_on_from_what_it_had(snapshot: Path, bucket: str, tmp_path: Path) -> None:
    put(snapshot, f"{bucket}/snapshot", MANIFEST)
    contract = {
        "AIP_TRAINING_DATA_URI": f"{bucket}/snapshot",
        "AIP_MODEL_DIR": f"{bucket}/model/",
        "AIP_CHECKPOINT_DIR": f"{bucket}/checkpoints/",
    }
    command = [sys.executable, "-m", "ringwatch", "train", "--seeds", "1", "--complaint-days", "2"]
    environment = os.environ | contract | {"OMP_NUM_THREADS": "1"}
    checkpoints, model = open_store(f"{bucket}/checkpoints"), open_store(f"{bucket}/model")

    def fitted() -> list[str]:
        return [name for name in checkpoints.names() if name.endswith("/fitted.json")]

    log = tmp_path / "cut-off.log"
    with log.open("wb") as output:
        cut_off = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    deadline = time.monotonic() + PATIENCE_S
    while len(fitted()) < 5:
        assert cut_off.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    cut_off.kill()
    cut_off.wait()
    assert model.names() == []
    before = {name: checkpoints.read(name) for name in fitted()}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert before == {name: checkpoints.read(name) for name in before}
    with fetched(f"{bucket}/model", CARD) as trained:
        assert {load(trained / moment).contender for moment in MOMENTS} <= set(SERVABLE)
        registry = open_registry(f"{bucket}/models")
        version = registry.register(trained)
        assert files(registry.fetch(version.name, tmp_path / "cache")) == files(trained)


def test_a_run_that_is_asked_to_end_leaves_nothing_behind(snapshot: Path, tmp_path: Path) -> None:
    command = ["train", "--snapshot", str(snapshot), "--out", str(tmp_path / "model"), "--complaint-days", "2"]
    with subprocess.Popen([sys.executable, "-m", "ringwatch", *command]) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not list(tmp_path.iterdir()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        assert process.wait(PATIENCE_S) == 143
    assert list(tmp_path.iterdir()) == []
