"""Requests: which jobs share an array, what each waits for, and what sbatch is told."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from kd.errors import ClusterError
from kd.jobfile.plan import Plan, plan_pipeline
from kd.jobfile.stage import Pipeline
from kd.rundir.folders import JobKey, RunFolder
from slurm.cluster.profile import Profile
from slurm.submission.request import Request, build_requests, in_slots, setup_lines


def plan(seeds: int = 3, teacher_seeds: list[int] | None = None, **resources: Any) -> Plan:
    training = {"model": "resnet8", "epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1}}
    return plan_pipeline(
        Pipeline.model_validate(
            {
                "pipeline": "test",
                "data": {"name": "synthetic", "validation": 10},
                "seeds": list(range(seeds)),
                "resources": resources,
                "stages": {
                    "teacher": {"kind": "train", **training, "seeds": teacher_seeds},
                    "student": {"kind": "distill", "teacher": "teacher", "loss": {"kd": 1.0}, **training},
                    "report": {"kind": "report"},
                },
            }
        )
    )


def requests(graph: Plan, profile: Profile | None = None, **options: Any) -> list[Request]:
    return build_requests(graph, RunFolder(Path("/runs/r")), profile or Profile(), **options)


def edges(found: list[Request]) -> dict[str, str | None]:
    """Return each request's dependency text, with symbolic ids."""
    ids: dict[JobKey, str] = {}
    texts: dict[str, str | None] = {}
    for request in found:
        texts[request.name] = request.edge.text(ids) if request.edge else None
        ids.update(request.symbolic_ids())
    return texts


def test_equal_seeds_are_one_array_and_pair_up_with_their_parents() -> None:
    found = requests(plan())
    assert [(request.name, len(request.jobs)) for request in found] == [("teacher", 3), ("student", 3), ("report", 1)]
    assert edges(found) == {
        "teacher": None,
        "student": "aftercorr:<teacher>",
        "report": "afterany:<teacher>:<student>",
    }


def test_children_of_one_teacher_wait_for_it_together() -> None:
    assert edges(requests(plan(teacher_seeds=[0])))["student"] == "afterok:<teacher>"


def test_a_lone_pair_uses_afterok_because_it_is_no_array() -> None:
    assert edges(requests(plan(seeds=1)))["student"] == "afterok:<teacher>"


def test_shapes_that_differ_name_each_parent_element() -> None:
    graph = plan(teacher_seeds=[2, 1, 0])
    found = edges(requests(graph))
    assert found["student"] == "afterok:<teacher>_2"
    assert found["student-2"] == "afterok:<teacher>_1"
    assert found["student-3"] == "afterok:<teacher>_0"


def test_verified_parents_need_no_edge() -> None:
    graph = plan()
    pending = [key for key in (job.key for job in graph.jobs) if key != JobKey("teacher", 0)]
    found = requests(graph, pending=pending, finished=[JobKey("teacher", 0)])
    assert edges(found) == {
        "teacher": None,
        "student": None,  # seed 0: its teacher is done
        "student-2": "aftercorr:<teacher>",
        "report": "afterany:<teacher>:<student>:<student-2>",
    }
    assert [job.key.seed for job in found[1].jobs] == [0]


def test_live_parents_are_named_by_their_own_ids() -> None:
    graph = plan(seeds=2)
    students = [JobKey("student", 0), JobKey("student", 1)]
    found = requests(graph, pending=students)
    live = {JobKey("teacher", 0): "70_0", JobKey("teacher", 1): "70_1"}
    assert [request.edge.text(live) for request in found if request.edge] == ["afterok:70_0", "afterok:70_1"]


def test_arrays_are_split_at_the_sites_limit_and_still_pair_up() -> None:
    found = requests(plan(seeds=5), Profile(max_array=2))
    assert [len(request.jobs) for request in found] == [2, 2, 1, 2, 2, 1, 1]
    assert edges(found)["student"] == "aftercorr:<teacher>"
    assert edges(found)["student-2"] == "aftercorr:<teacher-2>"
    assert edges(found)["student-3"] == "afterok:<teacher-3>"


def test_array_of_equal_size_in_another_order_does_not_pair_up() -> None:
    graph = plan(seeds=2, teacher_seeds=[1, 0])
    assert edges(requests(graph))["student"] == "afterok:<teacher>_1"


@pytest.mark.parametrize(
    ("profile", "gpu_type", "expected"),
    [
        ({}, None, {"gres": "gpu:2"}),
        ({}, "a100", {"gres": "gpu:a100:2"}),
        ({"gpu_type_as": "constraint"}, "a100", {"gres": "gpu:2", "constraint": "a100"}),
        ({"gpu_flag": "gpus-per-node"}, "a100", {"gpus_per_node": "a100:2"}),
    ],
)
def test_gpus_are_asked_for_in_the_sites_form(profile: dict[str, Any], gpu_type: str | None, expected: Any) -> None:
    found = requests(plan(gpus=2, gpu_type=gpu_type), Profile.model_validate(profile))[0].parameters
    assert {key: found[key] for key in expected} == expected


def test_gpus_can_be_a_plain_option() -> None:
    found = requests(plan(gpus=2), Profile(gpu_flag="gpus"))[0].parameters
    assert found["additional_parameters"]["gpus"] == "2"
    assert "gres" not in found


def test_the_report_asks_for_no_gpu_and_goes_to_the_cpu_partition() -> None:
    profile = Profile.model_validate({"partitions": [{"name": "gpu"}], "cpu_partition": "cpu"})
    report = requests(plan(), profile)[-1].parameters
    assert report["partition"] == "cpu"
    assert "gres" not in report


def test_the_first_partition_that_fits_is_taken() -> None:
    profile = Profile.model_validate({"partitions": [{"name": "short", "max_time": "1h"}, {"name": "long"}]})
    assert requests(plan(time="30m"), profile)[0].parameters["partition"] == "short"
    assert requests(plan(time="2h"), profile)[0].parameters["partition"] == "long"


def test_a_stage_that_fits_no_partition_is_refused_with_the_reasons() -> None:
    profile = Profile.model_validate(
        {"partitions": [{"name": "short", "max_time": "1h"}, {"name": "old", "gpu_type": "v100"}]}
    )
    with pytest.raises(ClusterError, match=r"short: allows 1h, the stage asks for 2h .*; old: has v100, not a100"):
        requests(plan(time="2h", gpu_type="a100"), profile)


def test_requests_of_two_runs_carry_different_comments() -> None:
    graph = plan()
    first = build_requests(graph, RunFolder(Path("/a/r")), Profile())
    second = build_requests(graph, RunFolder(Path("/b/r")), Profile())
    assert {request.token for request in first}.isdisjoint(request.token for request in second)
    assert first[0].parameters["comment"] == first[0].token


def test_the_site_s_gres_constraint_and_comment_stand_beside_ours() -> None:
    own = {"gres": "lscratch:100", "constraint": "ib", "comment": "projX"}
    site = Profile.model_validate({"gpu_type_as": "constraint", "sbatch": own})
    teacher, *_, report = requests(plan(gpu_type="a100"), site)
    assert teacher.parameters["gres"] == "gpu:1,lscratch:100"
    assert teacher.parameters["constraint"] == "a100&ib"
    assert teacher.parameters["comment"] == f"{teacher.token} projX"
    assert report.parameters["gres"] == "lscratch:100"


def test_kinds_of_jobs_have_options_of_their_own() -> None:
    site = Profile.model_validate(
        {"gpu_jobs": {"account": "lab-gpu", "sbatch": {"exclusive": True}}, "cpu_jobs": {"account": "lab-cpu"}}
    )
    teacher, *_, report = (request.parameters for request in requests(plan(), site))
    assert (teacher["account"], report["account"]) == ("lab-gpu", "lab-cpu")
    assert teacher["additional_parameters"]["exclusive"] is True
    assert "exclusive" not in report["additional_parameters"]


@pytest.mark.parametrize(
    ("form", "name", "value"),
    [("node", "mem", "10000M"), ("cpu", "mem_per_cpu", "3334M"), ("gpu", "mem_per_gpu", "5000M")],
)
def test_memory_is_asked_for_in_the_site_s_form(form: str, name: str, value: str) -> None:
    found = requests(plan(gpus=2, cpus=3, memory="10000M"), Profile.model_validate({"memory_as": form}))[0].parameters
    assert {key: found[key] for key in found if key.startswith("mem")} == {name: value}


def test_a_profile_with_a_container_starts_python_in_it() -> None:
    site = Profile.model_validate({"container": {"image": "/images/kd.sif"}})
    teacher, *_, report = requests(plan(), site)
    assert teacher.python == '"$kd_engine" exec --nv --bind "$kd_binds" /images/kd.sif python'
    assert "--nv" not in report.python
    assert "kd_binds=/runs" in teacher.parameters["setup"]


HOSTILE = [
    "a b",
    "x'y",
    'x"y',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "ü",
    "a\\b",
    "$((1+1))",
    "a;b&c|d",
    "$[a[$(touch pwned)]]",
]
HOSTILE += ["$[a[\\$(touch pwned)]]", "${X:-$(touch pwned)}", "${PATH@P}", '\\\\"; touch pwned', "$"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_a_profile_or_path_is_executed_by_the_shell(text: str, tmp_path: Path) -> None:
    profile = Profile(modules=[text], environment={"KD_TEST": text}, venv=f"venv {text}", module_init=text)
    run = RunFolder(tmp_path / text)
    lines = setup_lines(run, profile)
    shell = "\n".join(
        [
            "module() { printf 'module=%s\\n' \"$2\"; }",
            "source() { printf 'source=%s\\n' \"$1\"; }",
            *lines,
            "printf 'path=%s\\n' \"$PYTHONPATH\"",
            "printf 'value=%s\\n' \"$KD_TEST\"",
        ]
    )
    answer = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [
        f"module={text}",
        f"source=venv {text}/bin/activate",
        f"path={run.code}",
        f"value={text}",
    ]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("profile", "behind"), [({}, ":/opt/mine"), ({"environment": {"PYTHONPATH": "/opt/site"}}, ":/opt/site")]
)
def test_other_python_paths_stay_behind_the_frozen_code(tmp_path: Path, profile: dict[str, Any], behind: str) -> None:
    run = RunFolder(tmp_path)
    shell = "\n".join([*setup_lines(run, Profile.model_validate(profile)), 'echo "$PYTHONPATH"'])
    answer = subprocess.run(
        ["bash", "-c", shell], env={"PYTHONPATH": "/opt/mine"}, capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"{run.code}{behind}\n"


def test_a_profile_may_use_variables(tmp_path: Path) -> None:
    lines = setup_lines(RunFolder(tmp_path), Profile(environment={"KD_TEST": "$HOME/x"}))
    answer = subprocess.run(
        ["bash", "-c", "\n".join([*lines, 'echo "$KD_TEST"'])],
        env={"HOME": "/home/me"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "/home/me/x\n"


def test_short_slots_take_the_sites_length_and_need_requeueing() -> None:
    slots = in_slots(plan(time="short"), Profile(short_slot=45))
    found = requests(slots)
    assert [request.parameters["time"] for request in found] == [45, 45, 30], "the report has a time of its own"
    with pytest.raises(ClusterError, match="asks for 'time: short', but this cluster cannot requeue"):
        in_slots(plan(time="short"), Profile(requeue=False))
    assert in_slots(plan(time="2h"), Profile(requeue=False)) == plan(time="2h")
