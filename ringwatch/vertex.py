"""Training as a custom job of Vertex AI: the request, and what became of it. Nothing else here knows Vertex AI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.cloud.aiplatform_v1 import (
    AcceleratorType,
    ContainerSpec,
    CustomJob,
    CustomJobSpec,
    GcsDestination,
    JobServiceClient,
    MachineSpec,
    Scheduling,
    WorkerPoolSpec,
)

from gnn.cloud_storage import translated
from gnn.store import is_remote
from graph.errors import ConfigurationError


@dataclass(frozen=True)
class Machine:
    """What a job runs on: a machine type of Compute Engine, with or without an accelerator.

    ``spot`` machines are cheaper and may be taken away; the job then starts again, and goes on from checkpoints.
    """

    type: str
    accelerator: str | None = None
    accelerators: int = 1
    spot: bool = False

    def spec(self) -> MachineSpec:
        """As Vertex AI is told it.

        Raises:
            ConfigurationError: there is no such accelerator.
        """
        if self.accelerator is None:
            return MachineSpec(machine_type=self.type)
        known = AcceleratorType.__members__
        if self.accelerator not in known:
            raise ConfigurationError(f"there is no accelerator {self.accelerator}, but {', '.join(known)}")
        return MachineSpec(
            machine_type=self.type,
            accelerator_type=known[self.accelerator],
            accelerator_count=self.accelerators,
        )


def training_job(
    image: str, machine: Machine, *, snapshot: str, out: str, service_account: str | None, options: Sequence[str]
) -> CustomJob:
    """The job that runs ``ringwatch train`` with ``options`` in an image, on a snapshot in a bucket.

    Below ``out`` Vertex AI names the folders ``model`` and ``checkpoints`` to the container
    (https://cloud.google.com/vertex-ai/docs/training/code-requirements).

    Raises:
        ConfigurationError: the snapshot or ``out`` is in no bucket, or there is no such accelerator.
    """
    for address in (snapshot, out):
        if not is_remote(address):
            raise ConfigurationError(f"{address}: Vertex AI reads and writes gs://… only")
    container = ContainerSpec(image_uri=image, args=["train", "--snapshot", snapshot, *options])
    strategy = Scheduling.Strategy.SPOT if machine.spot else Scheduling.Strategy.STANDARD
    spec = CustomJobSpec(
        worker_pool_specs=[
            WorkerPoolSpec(machine_spec=machine.spec(), replica_count=1, container_spec=container),
        ],
        base_output_directory=GcsDestination(output_uri_prefix=out),
        scheduling=Scheduling(strategy=strategy, restart_job_on_worker_restart=True),
        service_account=service_account or "",
    )
    return CustomJob(display_name="ringwatch train", job_spec=spec)


def submit(job: CustomJob, *, project: str, region: str) -> str:
    """Start a job; returns its name.

    Raises:
        ConfigurationError: Google refuses, or there are no credentials.
        Unavailable: Vertex AI cannot be reached.
    """
    with translated(f"Vertex AI in {region}"):
        created = _client(region).create_custom_job(
            parent=f"projects/{project}/locations/{region}", custom_job=job
        )
    return created.name


def find(name: str) -> CustomJob:
    """A job by its name.

    Raises:
        ConfigurationError: it is no job's name, there is no such job, or Google refuses.
        Unavailable: Vertex AI cannot be reached.
    """
    region = JobServiceClient.parse_custom_job_path(name).get("location")
    if region is None:
        raise ConfigurationError(f"{name}: projects/…/locations/…/customJobs/… is needed")
    with translated(name):
        return _client(region).get_custom_job(name=name)


def told(job: CustomJob) -> str:
    """What is to be known of a job, in a line."""
    words = [job.name, job.state.name.removeprefix("JOB_STATE_").lower()]
    if job.error.message:
        words.append(job.error.message)
    elif job.state.name == "JOB_STATE_SUCCEEDED":
        words.append(f"{job.job_spec.base_output_directory.output_uri_prefix.rstrip('/')}/model")
    return ": ".join(words)


def _client(region: str) -> JobServiceClient:
    return JobServiceClient(client_options={"api_endpoint": f"{region}-aiplatform.googleapis.com"})
