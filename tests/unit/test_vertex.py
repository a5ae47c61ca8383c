"""The job that Vertex AI is asked for, by the library's own types; nothing here reaches Google."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import typer.main
from google.cloud.aiplatform_v1 import AcceleratorType, CreateCustomJobRequest, CustomJob, JobState, Scheduling
from google.protobuf import json_format
from typer.testing import CliRunner

from graph.errors import ConfigurationError
from ringwatch.cli import app
from ringwatch.vertex import Machine, find, told, training_job

NAME = "projects/p/locations/europe-west4/customJobs/7"


def job(
    machine: Machine = Machine("n1-standard-8"),  # noqa: B008 - frozen
    *,
    snapshot: str = "gs://b/snapshot",
    out: str = "gs://b/run",
) -> CustomJob:
    return training_job(
        "europe-docker.pkg.dev/p/r/ringwatch-training:1",
        machine,
        snapshot=snapshot,
        out=out,
        service_account="trainer@p.iam.gserviceaccount.com",
        options=["--complaint-days", "7", "--seeds", "3"],
    )


def sent(custom_job: CustomJob) -> CustomJob:
    """What arrives when the request goes over the wire."""
    request = CreateCustomJobRequest(parent="projects/p/locations/europe-west4", custom_job=custom_job)
    arrived: CreateCustomJobRequest = CreateCustomJobRequest.deserialize(CreateCustomJobRequest.serialize(request))
    return arrived.custom_job


def test_the_job_is_what_was_asked_for() -> None:
    spec = sent(job(Machine("n1-standard-8", "NVIDIA_TESLA_T4", 2, spot=True))).job_spec
    [pool] = spec.worker_pool_specs
    assert pool.machine_spec.machine_type == "n1-standard-8"
    assert pool.machine_spec.accelerator_type == AcceleratorType.NVIDIA_TESLA_T4
    assert (pool.machine_spec.accelerator_count, pool.replica_count) == (2, 1)
    assert spec.base_output_directory.output_uri_prefix == "gs://b/run"
    assert spec.service_account == "trainer@p.iam.gserviceaccount.com"
    assert spec.scheduling.strategy == Scheduling.Strategy.SPOT
    assert spec.scheduling.restart_job_on_worker_restart
    assert sent(job()).job_spec.worker_pool_specs[0].machine_spec.accelerator_count == 0


def test_the_request_has_no_field_that_the_service_does_not_know() -> None:
    told_as_json = json_format.MessageToDict(CustomJob.pb(job()))
    assert json_format.ParseDict(told_as_json, CustomJob.pb(CustomJob())) == CustomJob.pb(job())


@pytest.mark.parametrize("trees_only", [False, True])
def test_the_container_is_given_a_command_that_there_is(trees_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_MODEL_DIR", "gs://b/run/model/")
    monkeypatch.setenv("AIP_CHECKPOINT_DIR", "gs://b/run/checkpoints/")
    submit = Mock(return_value=NAME)
    monkeypatch.setattr("ringwatch.vertex.submit", submit)
    asked = ["--project=p", "--region=europe-west4", "--image=i", "--snapshot=gs://b/snapshot", "--out=gs://b/run"]
    done = CliRunner().invoke(
        app, ["vertex", "submit", *asked, "--complaint-days=9", *(["--trees-only"] if trees_only else [])]
    )
    assert done.output == f"{NAME}\n"
    command, *options = sent(submit.call_args.args[0]).job_spec.worker_pool_specs[0].container_spec.args
    train = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    given = train.make_context(command, options).params
    assert given == {
        "snapshot": "gs://b/snapshot",
        "out": "gs://b/run/model/",
        "checkpoints": "gs://b/run/checkpoints/",
        "complaint_days": 9,
        "seeds": 3,
        "trees_only": trees_only,
    }


def test_what_vertex_could_not_do_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no accelerator NVIDIA_T4, but .*NVIDIA_TESLA_T4"):
        job(Machine("n1-standard-8", "NVIDIA_T4"))
    with pytest.raises(ConfigurationError, match="gs://… only"):
        job(snapshot="snapshot")
    with pytest.raises(ConfigurationError, match="gs://… only"):
        job(out="model")
    with pytest.raises(ConfigurationError, match="customJobs"):
        find("7")


def test_the_state_of_a_job_is_told() -> None:
    spec = job().job_spec
    done = CustomJob(name=NAME, state=JobState.JOB_STATE_SUCCEEDED, job_spec=spec)
    assert told(done) == f"{NAME}: succeeded: gs://b/run/model"
    failed = CustomJob(name=NAME, state=JobState.JOB_STATE_FAILED, job_spec=spec, error={"message": "no quota"})
    assert told(failed) == f"{NAME}: failed: no quota"
