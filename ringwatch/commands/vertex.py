"""``ringwatch vertex``: training on Vertex AI."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated

import typer

from graph.errors import ConfigurationError

app = typer.Typer(help="Train on Vertex AI.", no_args_is_help=True)


@app.command("submit")
def submit(
    project: Annotated[str, typer.Option(help="The project that pays.")],
    region: Annotated[str, typer.Option(help="Where it runs, as in europe-west4.")],
    image: Annotated[str, typer.Option(help="The training image, as docker/Dockerfile builds it.")],
    snapshot: Annotated[str, typer.Option(help="gs://…, as `ringwatch snapshot` writes it.")],
    out: Annotated[str, typer.Option(help="gs://…; the model comes to `model` below it.")],
    machine: Annotated[str, typer.Option(help="A machine type of Compute Engine.")] = "n1-standard-8",
    accelerator: Annotated[str | None, typer.Option(help="As in NVIDIA_TESLA_T4; none by default.")] = None,
    accelerators: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    spot: Annotated[
        bool, typer.Option("--spot", help="On machines that are cheaper and may be taken away.")
    ] = False,
    service_account: Annotated[str | None, typer.Option(help="As whom it runs, if not as the default.")] = None,
    complaint_days: Annotated[int, typer.Option(min=0, help="How long complaints take to come in.")] = 7,
    seeds: Annotated[int, typer.Option(min=1, help="Models per contender; their mean counts.")] = 3,
    trees_only: Annotated[
        bool, typer.Option("--trees-only", help="Without networks: minutes, and no torch wherever it scores.")
    ] = False,
) -> None:
    """Start `ringwatch train` as a custom job, and print the job's name."""
    vertex = _vertex()
    options = ["--complaint-days", str(complaint_days), "--seeds", str(seeds)]
    job = vertex.training_job(
        image,
        vertex.Machine(machine, accelerator, accelerators, spot),
        snapshot=snapshot,
        out=out,
        service_account=service_account,
        options=[*options, "--trees-only"] if trees_only else options,
    )
    typer.echo(vertex.submit(job, project=project, region=region))


@app.command("status")
def status(job: Annotated[str, typer.Argument(help="As `ringwatch vertex submit` printed it.")]) -> None:
    """Say what became of a job, and where its model is."""
    vertex = _vertex()
    typer.echo(vertex.told(vertex.find(job)))


def _vertex() -> ModuleType:
    try:
        from ringwatch import vertex
    except ImportError as error:
        raise ConfigurationError(f"vertex needs what `pip install 'ringwatch[gcp]'` brings: {error}") from error
    return vertex
