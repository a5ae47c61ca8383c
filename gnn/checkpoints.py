"""What a training run has fitted so far, kept where the next one finds it: machines are taken away at any time.

    <what is trained>/<moment>/<seed>/<contender>/early|final/…   as :mod:`gnn.network_storage` writes models
    <what is trained>/<moment>/<seed>/<contender>/fitted.json     SHA-256 by path, written last

A contender is fitted from its seed alone, so that a run that goes on ends with what one without a break ends with.
What is learned in minutes and lost is learned again: there is nothing within the fit of one contender.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from gnn.calibration import Calibration
from gnn.dataset import Dataset
from gnn.models import Model, OneCount, Trees
from gnn.network_models import Blend, Net, TreesOnEmbeddings
from gnn.network_storage import save
from gnn.recipe import Recipe
from gnn.storage import Scorer, load
from gnn.store import Store, sha256_of
from graph.errors import ConfigurationError

Fitted = tuple[Model, Model]

_STAGES = ("early", "final")
_SEAL = "fitted.json"
_UNCALIBRATED = Calibration(1.0, 0.0)


class Checkpoints:
    """Fitted contenders in a store, for one snapshot, recipe and waiting time."""

    def __init__(self, store: Store, dataset: Dataset, snapshot_digest: str, recipe: Recipe, complaint_days: int):
        told = msgspec.json.encode((snapshot_digest, recipe, complaint_days))
        self._store, self._dataset = store, dataset
        self._prefix = hashlib.sha256(told).hexdigest()[:16]

    def fitted(self, moment: str, seed: int, name: str, fit: Callable[[], Fitted]) -> Fitted:
        """A contender before and after validation: as it was kept, or else fitted now and kept.

        Raises:
            Unavailable: the store cannot be reached.
        """
        place = f"{self._prefix}/{moment}/{seed}/{name.replace(' ', '-')}"
        with tempfile.TemporaryDirectory(prefix="ringwatch-") as scratch:
            if (kept := self._kept(place, Path(scratch) / "kept")) is not None:
                return kept
            early, final = fit()
            if (kind := _storable(final)) is not None:
                self._keep(place, kind, (early, final), Path(scratch) / "new")
        return early, final

    def _kept(self, place: str, folder: Path) -> Fitted | None:
        """What is there and whole; what is not is fitted again."""
        if (seal := self._store.read(f"{place}/{_SEAL}")) is None:
            return None
        try:
            for path, sha256 in msgspec.json.decode(seal.content, type=dict[str, str]).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                self._store.download(f"{place}/{path}", folder / path)
                if sha256_of(folder / path) != sha256:
                    return None
            early, final = (load(folder / stage).models[0] for stage in _STAGES)
        except (ConfigurationError, msgspec.DecodeError):
            return None
        return early, final

    def _keep(self, place: str, kind: str, fitted: Fitted, folder: Path) -> None:
        for stage, model in zip(_STAGES, fitted, strict=True):
            scorer = Scorer(kind, [model], _UNCALIBRATED)
            save(scorer, folder / stage, self._dataset.features, self._dataset.later_ms)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
        for path in files:
            self._store.upload(folder / path, f"{place}/{path}")
        (folder / _SEAL).write_bytes(msgspec.json.encode(files))
        self._store.upload(folder / _SEAL, f"{place}/{_SEAL}")


def _storable(model: Model) -> str | None:
    """The contender that a model is stored as; None for what is put together faster than it is read."""
    match model:
        case Trees():
            return "labels"
        case TreesOnEmbeddings():
            return "embeddings"
        case Net():
            return "network"
        case Blend() | OneCount():
            return None
    raise TypeError(f"{type(model).__name__} is no model that competes")
