"""Small models are quickest on one thread, and threads that wait for each other on a busy machine are slowest."""

from __future__ import annotations

import uuid

import lightgbm  # noqa: F401 - loaded, so that its threads are limited too
import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.services.cloud_storage import CloudStorageServer

torch.set_num_threads(1)
threadpool_limits(limits=1)


@pytest.fixture
def bucket(cloud_storage: CloudStorageServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a folder in a bucket of its own, which clients find."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud_storage.url)
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    cloud_storage.create_bucket(name)
    return f"gs://{name}/kept"
