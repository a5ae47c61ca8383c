"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GraphAddress = Annotated[
    str | None,
    typer.Option(
        "--graph",
        metavar="ADDRESS",
        help="embedded | embedded:DIR | embedded:temporary | bolt://… | neo4j://… | neo4j+s://…",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A settings file (default: ./ringwatch.toml).")
]
Mappings = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="OURS=THEIRS …", help="Rename a field; may be given several times."),
]
MoreMappings = Annotated[list[str] | None, typer.Argument(metavar="[OURS=THEIRS]…", help="More for --map.")]
Labels = Annotated[
    str | None,
    typer.Option("--labels", help="Verdicts: a file or glob, or kafka://… (each counts from its time on)."),
]
Models = Annotated[
    str | None,
    typer.Option("--models", metavar="REGISTRY", help="Where models are registered: a folder, or gs://bucket/…"),
]
TimeFormat = Annotated[
    str | None,
    typer.Option(
        help="strptime format of times that are neither RFC 3339 nor epoch, or e.g. 'hours since 2025-01-01' if "
        "numbers count those; no offset means UTC."
    ),
]
