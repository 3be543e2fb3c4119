"""A cluster profile: the facts of one place that a job file must not know.

Each is one YAML file under cluster_env/profiles, or any file passed as ``--cluster my_site.yaml``.
"""

from __future__ import annotations

import fnmatch
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from kd.errors import ClusterError, SpecError, did_you_mean
from kd.jobfile.schema import Megabytes, Minutes, Name
from kd.jobfile.source import Document, read_document
from kd.jobfile.validation_messages import fault_of
from kd.places import shipped
from slurm.cluster.sbatch_options import Options, allowed_gres, allowed_option
from slurm.cluster.which_cluster import shells_cluster

Line = Annotated[str, Field(pattern=r"^[^\n\r\x00]*$")]
Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+:/-]*$")]  # some sites write proj@v100
Speed = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Option = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$"), AfterValidator(allowed_option)]


class Part(BaseModel):
    """Base of every part of a profile."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class JobOptions(Part):
    """What sbatch is told besides the work: for all jobs, those of one kind, or those of one partition."""

    account: Account | None = None
    qos: Name | None = None
    memory_as: Literal["node", "cpu", "gpu"] | None = Field(None, description="--mem, --mem-per-cpu, --mem-per-gpu")
    sbatch: dict[Option, Line | int | bool] = Field({}, description="Further sbatch options, by their long names")

    @field_validator("sbatch")
    @classmethod
    def _no_gpus(cls, value: Options) -> Options:
        allowed_gres(value.get("gres", ""))
        return value


class Container(Part):
    """The image that jobs run in, with Apptainer or Singularity."""

    image: Line
    binds: list[Annotated[str, Field(pattern=r"^/[^,\n\r\x00]*$")]] = []


class Partition(JobOptions):
    """One partition, best first in the profile's list. Its options outrank those of the kind of job."""

    name: Name
    gpu_type: Name | None = Field(None, description="The type of its GPUs, where it has only one")
    max_time: Minutes | None = Field(None, description="Longest wall time, checked before anything is sent")
    gpus_per_node: int | None = Field(None, ge=0, description="Most GPUs of one node, checked likewise")
    cpus_per_node: int | None = Field(None, ge=1, description="Most processors of one node, checked likewise")
    memory_per_node: Megabytes | None = Field(None, description="Most memory of one node, checked likewise")


class Profile(JobOptions):
    """What differs between sites."""

    about: str = ""
    hosts: list[str] = Field([], description="Login host names (shell patterns) by which this profile is found")
    gpu_flag: Literal["gres", "gpus-per-node", "gpus"] = "gres"
    gpu_type_as: Literal["constraint", "gres", "partition"] = Field(
        "gres", description="-C <type>, gpu:<type>:<n>, or nothing: each partition has one type"
    )
    gpu_speed: dict[Name, Speed] = Field({}, description="Relative speed of the GPU types, for ranking")
    partitions: list[Partition] = Field([], description="GPU partitions, best first")
    several_partitions: bool = Field(True, description="Whether a job may name several partitions of equal GPUs")
    start_tests: int = Field(4, ge=0, description="Most calls of sbatch --test-only in one ranking of the partitions")
    cpu_partition: Name | None = Field(None, description="Where jobs without a GPU go; default: the first partition")
    clusters: Name | None = Field(None, description="Cluster to send to, where several share one login node")
    gpu_jobs: JobOptions = Field(JobOptions(), description="Options of jobs with a GPU alone")
    cpu_jobs: JobOptions = Field(JobOptions(), description="Options of jobs without one, such as the report")
    omit: list[Literal["memory", "cpus"]] = Field([], description="Requests that this site rejects")
    module_init: Line | None = Field(None, description="File to source where batch scripts know no 'module'")
    modules: list[Line] = []
    venv: Line | None = Field(None, description="Virtual environment to activate; never copied to scratch")
    container: Container | None = Field(None, description="Image that jobs run in, instead of a venv")
    environment: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Line] = {}
    scratch: list[Line] = Field(["$SLURM_TMPDIR", "$TMPDIR"], description="Scratch folders, in order of preference")
    require_gpus: bool = Field(True, description="Whether a job that sees fewer GPUs than it asked for fails")
    accounting: bool = Field(True, description="Whether sacct answers")
    requeue: bool = Field(True, description="Whether jobs may be requeued")
    max_restarts: int = Field(20, ge=0, description="Requeues of one job before it counts as failed")
    short_slot: Minutes = Field(60, description="Wall time of one slot of a stage that asks for 'time: short'")
    signal_seconds: int = Field(120, ge=10, description="Warning before the time limit, to write a checkpoint")
    kill_invalid_dependents: bool = Field(True, description="Let Slurm cancel jobs whose parent failed")
    mail: Line | None = Field(None, description="Where Slurm mails to when a job fails, and when the report is there")
    parallel: int | None = Field(None, ge=1, description="Elements of one array that may run at the same time")
    max_array: int = Field(1000, ge=1, description="Jobs of one array (MaxArraySize minus 1)")

    def options(self, *, with_gpu: bool, partition: str | None) -> JobOptions:
        """Return the options of a job: the profile's, then its kind's, then its partition's, the last one winning.

        Of several partitions (``a,b``) the first decides: only partitions with equal options are named together.
        """
        first = (partition or "").partition(",")[0]
        own = [found for found in self.partitions if found.name == first]
        layers: list[JobOptions] = [self, self.gpu_jobs if with_gpu else self.cpu_jobs, *own]

        def last(name: str) -> Any:
            return next((value for layer in reversed(layers) if (value := getattr(layer, name)) is not None), None)

        sbatch = {name: value for layer in layers for name, value in layer.sbatch.items()}
        return JobOptions(account=last("account"), qos=last("qos"), memory_as=last("memory_as"), sbatch=sbatch)


def cluster_of(profile: Profile) -> str:
    """Return the cluster that a profile sends to, else the shell's, else nothing (slurm.conf's own).

    Raises ClusterError when the shell names several.
    """
    return profile.clusters or shells_cluster()


def profile_names() -> list[str]:
    """Return the names of the profiles that ship with kd."""
    return sorted(file.stem for file in _folder().glob("*.yaml"))


def load_profile(name: str | None) -> tuple[str, Profile]:
    """Return a profile and its name: by name, by file path, or (None) by this host's name, else ``generic``.

    Raises ClusterError for an unknown name and SpecError with file:line:column for a faulty file.
    """
    if name is None:
        return _detect()
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ClusterError(f"{name}: no such cluster profile file")
        return path.stem, _read(path)
    file = _folder() / f"{name}.yaml"
    if not file.is_file():
        raise ClusterError(f"unknown cluster '{name}'{did_you_mean(name, profile_names())}")
    return name, _read(file)


def _detect() -> tuple[str, Profile]:
    host = socket.getfqdn()
    for name in profile_names():
        profile = _read(_folder() / f"{name}.yaml")
        if any(fnmatch.fnmatch(host, pattern) for pattern in profile.hosts):
            return name, profile
    return "generic", _read(_folder() / "generic.yaml")


def _folder() -> Path:
    return shipped("cluster_env") / "profiles"


def _read(path: Path) -> Profile:
    document: Document = read_document(path)
    try:
        return Profile.model_validate(document.data)
    except ValidationError as error:
        raise SpecError([document.line(*_fault(detail)) for detail in error.errors(include_url=False)]) from None


def _fault(detail: Any) -> tuple[tuple[str | int, ...], str]:
    parts: dict[Any, type[Part]] = {
        "container": Container,
        "partitions": Partition,
        "gpu_jobs": JobOptions,
        "cpu_jobs": JobOptions,
    }
    model = parts.get(detail["loc"][0], Profile) if len(detail["loc"]) > 1 else Profile
    known = list(model.model_fields)
    return fault_of(detail, tuple(part for part in detail["loc"] if part != "[key]"), known)
