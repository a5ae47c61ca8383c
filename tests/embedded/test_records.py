"""What is written is whole: ArcadeDB splits a record that grows after it was created."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from graph import schema
from graph.embedded import embedded_engine
from graph.writer import GraphWriter
from ringwatch.simulation import Simulation
from streaming.codec import Codec
from streaming.tokens import CardTokenizer
from tests.embedded.test_engine import opened
from tests.worker import CARD_KEY

pytestmark = pytest.mark.embedded


def test_no_record_is_split_by_what_is_written_after_it(tmp_path: Path) -> None:
    codec = Codec(CardTokenizer(CARD_KEY.encode()), {}, None)
    events = [codec.decode(msgspec.json.encode(event.payment)) for event in Simulation(2_000, seed=1).events()]
    with embedded_engine(f"embedded:{tmp_path}", heap="512m") as engine, opened(engine) as graph:
        schema.apply(graph)
        writer = GraphWriter(graph)
        for begin in range(0, len(events), 500):
            writer.write(events[begin : begin + 500])
        types = {*schema.ENTITY_LABELS, "Transaction", *(each.type for each in schema.RELATIONSHIPS)}
        database = engine.directory / "engine" / "databases" / engine.database
    looked = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("split_records.py")), str(database), *sorted(types)],
        stdout=subprocess.PIPE,
        check=True,
        cwd=tmp_path,
    )
    assert json.loads(looked.stdout.splitlines()[-1]) == dict.fromkeys(types, 0)
