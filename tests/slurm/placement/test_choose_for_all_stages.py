"""Stages of one submission share the idle GPUs, and those of one model get one GPU type."""

from __future__ import annotations

from kd.rundir.stage_spec import Needs, spec_from_json
from slurm.cluster.partitions_and_nodes import LiveState
from slurm.placement.choice import Choice
from slurm.placement.choose_for_all_stages import Asking, choose_partitions
from tests.kd.conftest import make_spec
from tests.slurm.made_cluster import NEEDS, TWO_TYPES, live, node, partition, profile

SITE = profile("fast", "slow", **TWO_TYPES)


def cluster(*, fast: int = 4, slow: int = 8) -> LiveState:
    """Idle a100 in partition ``fast``, at 2.5 times the speed of the idle v100 in ``slow``."""
    nodes = node("n1", "fast", gres=f"gpu:a100:{fast}", used="gpu:a100:0(IDX:N/A)", cpus="0/64/0/64")
    nodes += node("n2", "slow", gres=f"gpu:v100:{slow}", used="gpu:v100:0(IDX:N/A)", cpus="0/64/0/64")
    return live(partition("fast") + partition("slow"), nodes)


def asking(stage: str, model: str = "", *, jobs: int = 4, waits: bool = False, needs: Needs = NEEDS) -> Asking:
    spec = spec_from_json(make_spec(stage, model=model or stage))
    return Asking(stage=stage, needs=needs, jobs=jobs, spec=spec, waits=waits)


def partitions(choices: dict[str, Choice]) -> dict[str, str | None]:
    return {stage: choice.partition for stage, choice in choices.items()}


def test_stages_that_start_together_do_not_count_the_same_gpus_twice() -> None:
    many = [asking(f"stage{number}") for number in range(3)]
    chosen = choose_partitions(SITE, cluster(), many)
    assert partitions(chosen) == {"stage0": "fast", "stage1": "fast", "stage2": "slow"}
    assert chosen["stage1"].candidates[0].finish == 2 * NEEDS.minutes * 60 / 2.5, "after the four of stage0"
    assert "shared with 4 more of this run" in chosen["stage1"].candidates[0].notes


def test_a_stage_that_waits_for_others_finds_their_gpus_free_again() -> None:
    chosen = choose_partitions(
        SITE, cluster(), [*(asking(f"stage{number}") for number in range(3)), asking("x", waits=True)]
    )
    assert chosen["x"].partition == "fast"
    assert chosen["x"].candidates[0].finish == NEEDS.minutes * 60 / 2.5


def test_stages_of_one_model_are_pinned_to_one_gpu_type() -> None:
    """Where a partition has both types the winner of the first stage is asked for by name in the second."""
    both = live(
        partition("gpu"),
        node("n1", "gpu", gres="gpu:a100:4", cpus="0/64/0/64")
        + node("n2", "gpu", gres="gpu:v100:40", used="gpu:v100:0(IDX:N/A)", cpus="0/640/0/640", memory=(999000, 0)),
    )
    site = profile("gpu", **TWO_TYPES)
    same = choose_partitions(site, both, [asking("baseline", "resnet8"), asking("other", "resnet8", jobs=40)])
    assert {choice.gpu_type for choice in same.values()} == {"a100"}
    others = choose_partitions(site, both, [asking("baseline", "resnet8"), asking("other", "resnet18", jobs=40)])
    assert others["other"].gpu_type == "v100"
