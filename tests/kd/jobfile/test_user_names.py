"""``code:`` of a job file: known when it is read, refused with both places, the same by its syntax, never run here."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from kd.errors import SpecError
from kd.jobfile.fingerprint import users_code
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.report.command import main as kd_collect
from kd.user_code import sources
from slurm.cluster.profile import Profile
from slurm.commands.status import main as kd_status
from slurm.commands.submit import main as submit
from slurm.submission.executors import EXECUTORS
from slurm.submission.run_folder import Launch, open_run, write_run

MODULE = '''"""Mine."""
from parts import width_of
from torch import nn

open({ran!r}, "w")

class Net(nn.Module):
    """A network."""
    def __init__(self, num_classes, in_channels, depth, *, wide=False):
        super().__init__()

    @classmethod
    def small(cls, num_classes, in_channels):
        return cls(num_classes, in_channels, depth=width_of(1))

def focal(student_logits, labels, gamma=2.0):
    return 0

def pets(root, size=32):
    return None

def blur(images, sigma=1.0):
    return images

def wrong(student_logit):
    return 0
'''
JOB = """\
pipeline: mine
code: [mine.py]
data: {name: pets, size: 16, validation: 10}
seeds: [1]
stages:
  teacher: {kind: train, model: {name: Net, depth: 3}, epochs: 1, optimizer: {name: sgd, lr: 0.1}, augment: {own: blur}}
  other:
    kind: train
    model: Net.small
    epochs: 1
    optimizer: {name: sgd, lr: 0.1}
    loss: {ce: 1, focal: {weight: 1, gamma: 3}}
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MODULE.format(ran=str(tmp_path / "ran")))
    (tmp_path / "parts.py").write_text("def width_of(depth):\n    return 2 * depth\n")
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path / "job.yaml"


def planned(job: Path) -> Plan:
    return plan_pipeline(load_pipeline(str(job)))


def prints(job: Path) -> dict[str, str]:
    return {each.key.stage: each.fingerprint for each in planned(job).jobs}


def test_names_without_modules_get_them_and_nothing_is_run(job: Path) -> None:
    specs = {each.key.stage: each.spec for each in planned(job).jobs}
    assert specs["teacher"].data.name == "mine:pets"
    assert specs["teacher"].settings.model.name == "mine:Net"
    assert specs["teacher"].settings.augment.own.name == "mine:blur"
    assert specs["other"].settings.model.name == "mine:Net.small"
    assert specs["other"].settings.loss["focal"].loss == "mine:focal"
    assert specs["other"].settings.loss["focal"].arguments == {"gamma": 3.0}
    assert set(sources.bound()) == {"mine", "parts"}
    assert submit([str(job), "--dry-run", "--cluster", "local", "--results", str(job.parent)]) == 0
    assert not (job.parent / "ran").exists()
    assert "mine" not in sys.modules


def test_status_and_collection_of_a_run_import_nothing_of_the_users(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(job.parent / "results", "mine")
    launch = Launch(executor=EXECUTORS["local"], cluster="local", profile=Profile())
    write_run(run, load_pipeline(str(job)), planned(job), launch, ["kd-submit", str(job)])
    kd_status([str(run.path)])
    kd_status([str(run.path), "--json"])
    kd_collect([str(run.path)])
    said = capsys.readouterr()
    assert "teacher" in said.out
    assert "Traceback" not in said.err
    assert not (job.parent / "ran").exists()
    assert "mine" not in sys.modules


def test_the_job_file_of_a_run_means_the_same(job: Path) -> None:
    before = prints(job)
    written = load_pipeline(str(job)).model_dump(mode="json", exclude_unset=True)
    (job.parent / "elsewhere").mkdir()
    again = job.parent / "elsewhere" / "job.yaml"
    again.write_text(yaml.safe_dump(written))
    assert prints(again) == before


def test_a_comment_changes_nothing_and_code_all_stages_that_name_it(job: Path) -> None:
    before, module, parts = prints(job), job.parent / "mine.py", job.parent / "parts.py"
    text = module.read_text()
    module.write_text("# a comment\n" + text.replace('"""A network."""', '"""Another docstring."""\n'))
    assert prints(job) == before
    module.write_text(text.replace("depth, *, wide", "depth, *, tall"))
    assert not set(prints(job).values()) & set(before.values())
    module.write_text(text)
    parts.write_text("def width_of(depth):\n    return 3 * depth\n")  # imported by the module
    assert not set(prints(job).values()) & set(before.values())


def test_what_changed_is_named(job: Path) -> None:
    def counted() -> dict[str, str]:
        (spec,) = [each.spec for each in planned(job).jobs if each.key.stage == "other"]
        return users_code(msgspec.to_builtins(spec.settings), msgspec.to_builtins(spec.data))

    before = counted()
    assert set(before) == {f"the source of {what}" for what in
                           ("dataset 'mine:pets'", "model 'mine:Net.small'", "loss 'mine:focal'")}  # fmt: skip
    (job.parent / "parts.py").write_text("def width_of(depth):\n    return 3 * depth\n")
    assert all(before[words] != digest for words, digest in counted().items())


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("job.yaml", "[mine.py]", "[moin.py]", "job.yaml:2:8: there is no file /.*/moin.py"),
        ("job.yaml", "[mine.py]", "[random.py]", "job.yaml:2:8: /.*/random.py: 'random' is a module of Python; rename"),
        ("mine.py", "def focal(", "def focal((", r"job.yaml:2:8: /.*/mine.py:\d+:\d+: .*"),
        ("parts.py", "return", "retrun", r"job.yaml:2:8: /.*/parts.py:2:\d+: invalid syntax"),
        ("job.yaml", "name: Net,", "name: Nett,", r"job.yaml:6:34: unknown model 'Nett' \(did you mean 'Net'\?\)"),
        ("job.yaml", "Net.small", "Net.smol", r"job.yaml:9:5: model 'Net.smol': .*mine.py:7: no class method 'smol'"),
        ("job.yaml", ", depth: 3", "", "job.yaml:6:26: model 'mine:Net' needs 'depth'"),
        ("job.yaml", "depth: 3", "depth: 3, wyde: 1", r"job.yaml:6:55: model 'mine:Net' takes no 'wyde' \(did you"),
        ("job.yaml", "depth: 3", "depth: 3, num_classes: 9", "'num_classes' of model 'mine:Net' is given by the job"),
        ("job.yaml", "gamma: 3", "gamma: x", "job.yaml:12:38: gamma: expected a number"),
        ("job.yaml", "focal:", "wrong:", r"loss 'wrong': .*mine.py:\d+: a loss names what it is given of a batch"),
        ("job.yaml", "own: blur", "own: blurr", r"unknown augmentation 'blurr' \(did you mean 'blur'\?\)"),
        ("mine.py", "def blur", "def convnet", "unknown augmentation 'blur'"),
        ("job.yaml", "name: sgd, lr: 0.1}, augment", "name: 'mine:Net', lr: 0.1}, augment", "your own can be model"),
    ],
)  # fmt: skip
def test_faults_are_one_line_with_both_places(file: str, old: str, new: str, said: str, job: Path) -> None:
    (job.parent / "random.py").touch()
    path = job.parent / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(SpecError, match=said) as refused:
        load_pipeline(str(job))
    assert len(refused.value.lines) == 1 or "mine:Net" in said


def test_a_name_that_kd_has_too_is_refused(job: Path) -> None:
    (job.parent / "mine.py").write_text(
        (job.parent / "mine.py").read_text() + "\ndef ce(student_logits):\n    return 0\n"
    )
    with pytest.raises(SpecError, match=r"kd has a loss 'ce', and .*mine.py defines one too; write 'mine:ce'"):
        load_pipeline(str(job))


def test_a_folder_of_modules_may_be_listed(job: Path) -> None:
    package = job.parent / "nets"
    package.mkdir()
    (package / "__init__.py").write_text("from .wide import *\n")
    (package / "wide.py").write_text("def wide(*, num_classes, depth: int = 2):\n    return None\n")
    job.write_text(
        JOB.replace("[mine.py]", "[mine.py, nets]").replace("name: Net, depth: 3", "name: 'nets:wide', depth: 4")
    )
    assert {each.spec.settings.model.name for each in planned(job).jobs} == {"nets:wide", "mine:Net.small"}
    (package / "__init__.py").unlink()
    with pytest.raises(SpecError, match=r"job.yaml:2:17: /.*/nets: a folder of modules needs an __init__.py"):
        load_pipeline(str(job))
