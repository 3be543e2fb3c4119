"""Brings what one job needs to its scratch folder: its own earlier state, its parents' artefacts, the data set.

Parents are verified on the way (or in place) against the checksums their result.json records: that, and not
the end state of a Slurm job, is what allows a child to run. What does not fit stays on shared storage and is
used from there, with a warning. Staging is per job: a scratch folder that truly belongs to one job is not
shared with other tasks on the node.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from kd.errors import CheckpointError
from kd.files import sha256_file
from kd.hashed_copy import copy_hashed
from kd.rundir.artefacts import is_own_file
from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import StagingFacts
from kd.rundir.stage_result import read_result
from slurm.job.publish import Publisher, free_bytes, hit_full_disk, is_full
from slurm.job.stage_dataset import StagedData, stage_data


class Staging:
    """Where one job reads and writes: ``work``, ``parents``, ``data_root``, ``publish``.

    ``data_root`` None: the data set is read where it lies.

    ``scratch`` is a fresh private folder of this job, or None to work in place. ``still_ours`` is called
    before every publication and raises when another attempt owns the stage folder. ``reserve_bytes`` of scratch
    are left for what the job will write.

    Raises CheckpointError when a parent's artefact is missing or its bytes are not those it recorded.
    """

    def __init__(
        self,
        folder: StageFolder,
        scratch: Path | None,
        parents: Mapping[str, StageFolder],
        data_root: Path | None,
        *,
        warn: Callable[[str], None],
        still_ours: Callable[[], None] = lambda: None,
        reserve_bytes: int,
    ) -> None:
        self.folder = folder
        self.scratch = scratch
        self._reserve_bytes = reserve_bytes
        self._bytes = 0
        begin = time.monotonic()
        if scratch is not None:
            try:
                self._check_space(scratch, parents)
                self._stage_work(scratch, parents, still_ours)
            except OSError as error:  # the disk is full after all, or broken: shared storage still works
                warn(f"works in place: {error}")
                shutil.rmtree(scratch / "work", ignore_errors=True)
                shutil.rmtree(scratch / "parents", ignore_errors=True)
                self.scratch = None
        if self.scratch is None:
            self.work = folder.path
            self.parents = {name: verify_parent(parent) for name, parent in parents.items()}
            self._publisher = Publisher(folder.path, folder.path, still_ours)
        self._data = StagedData()
        self._names = {str(self.parents[name]): str(parent.path) for name, parent in parents.items()}
        if data_root is not None and self.scratch is not None:
            self._data = stage_data(data_root, self.scratch, reserve_bytes, warn)
        if self._data.root is not None:
            self._names[str(self._data.root)] = str(data_root)
        self._seconds = time.monotonic() - begin

    @property
    def data_root(self) -> Path | None:
        """The staged data set, or None when it is read where it lies."""
        return self._data.root

    def publish(self, names: Sequence[str]) -> dict[str, str]:
        """Make these files of ``work`` durable; see :meth:`slurm.job.publish.Publisher.publish`."""
        return self._publisher.publish(names)

    def durable_names(self, text: str) -> str:
        """Return text with the names of staged copies replaced by those of what was copied: scratch does not last."""
        for staged, durable in self._names.items():
            text = text.replace(staged, durable)
        return text

    def scratch_is_full(self, error: BaseException) -> bool:
        """Return whether ``error`` may come of a full scratch disk, so that working in place may help."""
        if self.scratch is None or is_full(self.folder.path):
            return False
        # torch.save hides the error number, and a quota does not show in the free bytes
        return hit_full_disk(error) or free_bytes(self.scratch) < self._reserve_bytes // 4

    def record(self) -> StagingFacts:
        """Return what was staged, for result.json: seconds and bytes in and out, SHA-256 of the data files."""
        return StagingFacts(
            work="in place" if self.scratch is None else "scratch",
            data="in place" if self.data_root is None else "scratch",
            seconds_in=round(self._seconds, 3),
            bytes_in=self._bytes + self._data.bytes,
            seconds_out=round(self._publisher.seconds, 3),
            bytes_out=self._publisher.bytes,
            data_sha256=dict(self._data.digests),
        )

    def _check_space(self, scratch: Path, parents: Mapping[str, StageFolder]) -> None:
        """Raise OSError in words when state, parents and the checkpoints to come do not fit into scratch."""
        files = [*_state_files(self.folder), *(file for parent in parents.values() for file in _artefacts(parent))]
        need = sum(file.stat().st_size for file in files if file.is_file()) + self._reserve_bytes
        free = free_bytes(scratch)
        if need > free:
            raise OSError(f"scratch {scratch} has {free:,} bytes free, {need:,} are needed")

    def _stage_work(self, scratch: Path, parents: Mapping[str, StageFolder], still_ours: Callable[[], None]) -> None:
        """Bring this job's earlier state (checkpoints, metrics) and its verified parents to scratch."""
        self.work = scratch / "work"
        self.work.mkdir()
        self._publisher = Publisher(self.work, self.folder.path, still_ours)
        for file in _state_files(self.folder):
            name = str(file.relative_to(self.folder.path))
            self._publisher.note(name, self._copy(file, self.work / name))
        self.parents = {}
        for reference, parent in parents.items():
            target = scratch / "parents" / reference
            for file, recorded in _artefacts(parent).items():
                digest = self._copy(_present(parent, file), target / file.relative_to(parent.path))
                _require_digest(parent, file, recorded, digest)
            for file in (parent.spec, parent.result):
                self._copy(file, target / file.name)
            self.parents[reference] = target

    def _copy(self, source: Path, target: Path) -> str:
        digest = copy_hashed(source, target, durable=False)
        self._bytes += target.stat().st_size
        return digest


def verify_parent(parent: StageFolder) -> Path:
    """Return the parent's folder, verified: its artefacts are those that its result.json records.

    Raises CheckpointError otherwise.
    """
    for file, recorded in _artefacts(parent).items():
        _require_digest(parent, file, recorded, sha256_file(_present(parent, file)))
    return parent.path


def _artefacts(parent: StageFolder) -> dict[Path, str]:
    """Return the files a finished parent lists, with the SHA-256 it recorded."""
    result = read_result(parent)
    return {parent.path / name: digest for name, digest in result.files.items()} if result else {}


def _present(parent: StageFolder, file: Path) -> Path:
    """Return the file, checked before anything is opened for writing: a name may come of another person's result."""
    if not is_own_file(parent.path, file.relative_to(parent.path).as_posix()):
        why = "missing, or no plain file" if file.exists() else "missing"
        raise CheckpointError(f"{file}: {why}, though {parent.result.name} beside it lists it; run its stage again")
    return file


def _require_digest(parent: StageFolder, file: Path, recorded: str, digest: str) -> None:
    if digest != recorded:
        raise CheckpointError(
            f"{file}: changed or damaged (SHA-256 {digest[:12]}…, {parent.result.name} recorded {recorded[:12]}…); "
            "run its stage again"
        )


def _state_files(folder: StageFolder) -> Iterator[Path]:
    for entry in folder.state_entries():
        files = entry.rglob("*") if entry.is_dir() else [entry]
        yield from (file for file in files if file.is_file() and not file.name.startswith("."))
