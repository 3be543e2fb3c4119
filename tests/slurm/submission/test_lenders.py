"""Whose finished jobs are taken over, and that one bad run folder beside stops nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.files import sha256_file, write_json
from kd.rundir.borrowed_file import changed_since_pinned, pin_of, read_pins, write_pins
from kd.rundir.folders import RunFolder
from slurm.cluster.profile import Profile
from slurm.state.checksum_cache import RememberedDigests
from slurm.submission.lenders import trusted
from slurm.submission.reuse import Lending, find_lenders, link, store_locked
from tests.slurm.made_runs import MadeRun, make_run, teacher

NOBODY = 65534


@pytest.fixture
def lender(tmp_path: Path) -> MadeRun:
    made = make_run(tmp_path, [1], name="lender")
    weights = made.run.stage(teacher()).best
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    made.finish(teacher(), files={"checkpoint/best.safetensors": sha256_file(weights)})
    return made


def give_to_nobody(run: RunFolder) -> None:
    for folder, _, files in os.walk(run.path):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, NOBODY, NOBODY)


def lending(tmp_path: Path, *names: str) -> Lending:
    made = make_run(tmp_path, [1], name="mine")
    wanted = [job.key for job in made.plan.jobs]
    digests = RememberedDigests(made.run.digests)
    return find_lenders(made.run, made.plan, wanted, Profile(accounting=False), digests, trusted(names))


def taken(lent: Lending) -> list[str]:
    return [f"{found.key} of {found.lender.name}" for found in lent.found]


def test_a_run_of_ones_own_lends(lender: MadeRun, tmp_path: Path) -> None:
    assert taken(lending(tmp_path)) == ["teacher/seed-1 of lender"]


def test_another_users_results_are_named_and_not_taken(lender: MadeRun, tmp_path: Path) -> None:
    give_to_nobody(lender.run)
    lent = lending(tmp_path)
    assert lent.found == ()
    assert lent.notes == ("run lender of nobody has done 1 of these jobs; --reuse-from nobody takes them over",)


@pytest.mark.parametrize("name", ["nobody", "nogroup"])
def test_they_are_taken_from_a_named_user_or_a_member_of_a_named_group(
    name: str, lender: MadeRun, tmp_path: Path
) -> None:
    give_to_nobody(lender.run)
    lent = lending(tmp_path, name)
    assert taken(lent) == ["teacher/seed-1 of lender"]
    assert lent.found[0].pin.owner == "nobody"


def test_a_store_of_teachers_elsewhere_lends_through_a_link(lender: MadeRun, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    lender.run.path.rename(tmp_path / "store" / "resnet")
    (tmp_path / "results" / "labs_resnet").symlink_to(tmp_path / "store" / "resnet")
    assert taken(lending(tmp_path)) == ["teacher/seed-1 of resnet"]


def test_somebody_who_does_not_exist_is_refused() -> None:
    with pytest.raises(RunError, match="--reuse-from kd-test-x: no such user and no such group"):
        trusted(["kd-test-x"])


def test_a_lenders_folder_that_others_may_write_to_is_skipped(lender: MadeRun, tmp_path: Path) -> None:
    lender.run.stage(teacher()).path.chmod(0o777)
    lent = lending(tmp_path)
    assert lent.found == ()
    assert "skipped run lender: " in lent.notes[0]
    assert "may be written to by everybody" in lent.notes[0]


STRANGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda plan: plan.write_text("{}"),
    "numbers": lambda plan: plan.write_text('{"jobs": [1]}'),
    "deep": lambda plan: plan.write_text("[" * 200_000),
    "bytes": lambda plan: plan.write_bytes(bytes(range(256))),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "huge": lambda plan: os.truncate(os.open(plan, os.O_CREAT | os.O_WRONLY), 2 << 40),
}


@pytest.mark.parametrize("harm", STRANGE.values(), ids=STRANGE)
def test_a_strange_run_beside_is_skipped_with_a_line(
    harm: Callable[[Path], object], lender: MadeRun, tmp_path: Path
) -> None:
    evil = tmp_path / "results" / "evil"
    evil.mkdir()
    harm(evil / "plan.json")
    lent = lending(tmp_path)
    assert taken(lent) == ["teacher/seed-1 of lender"]
    assert len(lent.notes) == 1
    assert lent.notes[0].startswith(f"skipped run evil: {evil}")
    assert "\n" not in lent.notes[0]


def test_job_ids_of_a_lenders_journal_that_are_none_are_not_waited_for(tmp_path: Path) -> None:
    made = make_run(tmp_path, [1], name="lender")
    made.submit({teacher(): "123_\\''\n#SBATCH --dependency=afterok:123\ntouch PWNED\n#"})
    assert lending(tmp_path) == Lending()


def test_what_was_taken_over_is_pinned(lender: MadeRun, tmp_path: Path) -> None:
    mine = make_run(tmp_path, [1], name="mine").run
    found = lending(tmp_path).found
    for each in found:
        link(mine, each)
    write_pins(mine, {each.key: each.pin for each in found})
    folder = mine.stage(teacher())
    assert read_pins(mine)["teacher/seed-1"] == pin_of(lender.run, lender.run.stage(teacher()))
    assert changed_since_pinned(folder) == ""
    result = json.loads(folder.result.read_text())
    write_json(lender.run.stage(teacher()).result, {**result, "finished": 0.0})
    assert changed_since_pinned(folder) == "run lender has changed its result since it was taken over"
    os.chown(lender.run.stage(teacher()).result, NOBODY, -1)
    assert changed_since_pinned(folder).startswith("its result belongs to nobody")


def test_somebody_elses_lock_file_holds_nobody_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / f".submitting-{os.geteuid()}.lock"
    lock.touch()
    os.chown(lock, NOBODY, -1)
    with store_locked(tmp_path):
        pass
    assert "is not yours, and no lock" in capsys.readouterr().err
