"""What a job proves before it loads anything: only its user could write to it, and the code is the submitted one.

The checks are shell lines of the batch script, which Slurm keeps where nobody can change it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from kd.files import sha256_file, write_text
from kd.rundir.folders import RunFolder

PIN = "code.sha256"  # in every folder of pickles


def ownership_lines(run: RunFolder, folder: Path) -> list[str]:
    """Return the shell lines that end the job when others could have changed what it is about to load.

    ``folder`` holds its pickles. The rule is that of kd/rundir/ownership.py: all of it, and every folder above, is this
    user's or root's, and open to others with the sticky bit at most.
    """
    paths = [*reversed(folder.parents), folder, run.code, folder / PIN]
    names = " ".join(shlex.quote(str(path)) for path in paths)
    pin = shlex.quote(str(folder / PIN))
    return [
        'kd_group=0; if [ "$(id -gn)" = "$(id -un)" ]; then kd_group=$(id -g); fi  # a group of this user alone',
        f'kd_open=$(find -H {names} -maxdepth 0 \\( ! -uid 0 ! -uid "$(id -u)" -o ! -perm -1000 '
        '\\( -perm /002 -o -perm /020 ! -gid "$kd_group" \\) \\)) || kd_open="$kd_open (not all are there)"',
        'if [ -n "$kd_open" ]; then',
        '    echo "kd: not ours alone; refusing to load anything: $kd_open" >&2; exit 1',
        "fi",
        # the second time: a kd-submit that is at work at this very moment writes the code first and the pin after it
        f"sha256sum --check --status {pin} || {{ sleep 20; sha256sum --check --status {pin}; }} || {{",
        f"    echo 'kd: {PIN} does not match code.zip: it was changed after the submission' >&2; exit 1",
        "}",
    ]


def pin_code(run: RunFolder, folders: Iterable[Path]) -> None:
    """Write the SHA-256 of the frozen code, the user's own too, beside the pickles of these folders."""
    frozen = [path for path in (run.code, run.own_code) if path.is_file()]
    lines = "".join(f"{sha256_file(path)}  {path}\n" for path in frozen)
    for folder in folders:
        write_text(folder / PIN, lines)


def pin_code_again(run: RunFolder) -> None:
    """Pin the code that has just been frozen for the jobs that were sent earlier: they run it too."""
    pin_code(run, [path.parent for path in (run.path / "submitted").glob(f"*/{PIN}")])
