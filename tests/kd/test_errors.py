"""Errors: what a person reads, and how a command ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kd.errors import DataError, SpecError, UserError, did_you_mean, nearest, printable, run_command, shown


def test_a_user_error_is_its_lines_on_stderr_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise SpecError(["a.yaml:1:2: first", "a.yaml:3:4: second"])

    assert run_command(main) == 2
    assert capsys.readouterr() == ("", "a.yaml:1:2: first\na.yaml:3:4: second\n")


def test_a_command_s_own_code_is_returned() -> None:
    assert [run_command(lambda code=code: code) for code in (0, 1)] == [0, 1]  # type: ignore[misc]


@pytest.mark.parametrize("file", [None, "/results/.lock"])
def test_a_full_disk_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], file: str | None) -> None:
    def main() -> int:
        raise OSError(errno.ENOSPC, "No space left on device", file)

    assert run_command(main) == 2
    said = capsys.readouterr().err
    assert "the disk is full or your quota is used up; make room" in said
    assert said.startswith(f"{file}: " if file else "the disk")


def test_another_failure_of_the_system_keeps_its_traceback() -> None:
    def main() -> int:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        run_command(main)


def test_another_users_file_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/results/theirs/plan.json")

    assert run_command(main) == 2
    assert capsys.readouterr().err == (
        "/results/theirs/plan.json: permission denied: it is another user's, or write-protected\n"
    )


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "checkpoint"
    place.write_bytes(b"")
    assert run_command(lambda: place.mkdir(exist_ok=True) or 0) == 2
    assert capsys.readouterr().err == f"{place}: something else lies where a folder should\n"


def test_a_permission_that_is_no_files_keeps_its_traceback() -> None:
    def main() -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with pytest.raises(PermissionError):
        run_command(main)


def test_ctrl_c_ends_in_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise KeyboardInterrupt

    assert run_command(main) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    code = "from kd.errors import run_command; run_command(lambda: print('Prüfung → Schüler') or 0)"
    shell = {**os.environ, "PYTHONIOENCODING": "ascii"}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=shell, check=True)
    assert answer.stdout == "Pr\\xfcfung \\u2192 Sch\\xfcler\n"


def test_a_bug_keeps_its_traceback() -> None:
    def main() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_left_is_no_mistake(lines: int) -> None:
    code = (
        "import sys, time; from kd.errors import run_command; "
        f"sys.exit(run_command(lambda: [time.sleep(0.3), print('line\\n' * {lines})] and 0))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("name", "known", "ending"),
    [
        ("resent18", ["resnet18", "convnet"], " (did you mean 'resnet18'?)"),
        ("x", ["b", "a"], " (known: a, b)"),
        ("x", [], ""),
        ("x", [f"n{index:02}" for index in range(15)],
         " (known: n00, n01, n02, n03, n04, n05, n06, n07, n08, n09, n10, n11, and 3 more)"),
    ],
)  # fmt: skip
def test_the_nearest_name_or_the_known_ones_end_a_line(name: str, known: list[str], ending: str) -> None:
    assert did_you_mean(name, known) == ending
    assert (nearest(name, known) is not None) == ("did you mean" in ending)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "nothing"), (True, "true"), (1.5, "1.5"), ("a\nb", r"'a\nb'"), ("\x1b[2J", r"'\x1b[2J'"),
     ("ü", "'ü'"), ("x" * 99, "'" + "x" * 56 + "...")],
)  # fmt: skip
def test_values_are_shown_on_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_unprintable_characters_become_escapes() -> None:
    assert printable("a\nb\x1b[2J\ud7fc ü") == r"a\nb\x1b[2J\ud7fc ü"


def test_every_user_error_is_one_kind() -> None:
    assert issubclass(SpecError, UserError)
    assert issubclass(DataError, UserError)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf_8_is_no_mistake(encoding: str) -> None:
    code = "from kd.errors import run_command; run_command(lambda: print('Pr\\u00fcfung \\u2192 teacher') or 0)"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.decode(encoding).replace("\u00fc", r"\xfc") == "Pr\\xfcfung \\u2192 teacher\n"


def test_a_name_that_no_file_can_have_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: len((tmp_path / ("x" * 300)).read_text())) == 2
    assert capsys.readouterr().err.endswith("the name is longer than the file system allows\n")
