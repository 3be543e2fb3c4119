"""Whether the files of a data set can work, seen from their names before anything is submitted.

A layout that no job could read is refused here and not in each seed's job. Neither torch nor an image library is
loaded, no image is opened, and a data set that is not on this machine is left to the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from kd.catalog import resolve_arguments
from kd.errors import DataError
from kd.jobfile.schema import Data
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Pipeline

LARGE_ARCHIVE = 64 << 20  # bytes of a compressed tar, beyond which listing it would keep a person waiting
ROWS_LOOKED_FOR = 1000  # of a table: so many rows' images must be there

_Check: TypeAlias = Callable[[Path, Mapping[str, Any]], None]


def layout_faults(pipeline: Pipeline) -> Iterator[Fault]:
    """Yield the data sets of a pipeline with absolute roots whose files cannot work."""
    places: list[tuple[Data, Address]] = [(pipeline.data, ("data",))]
    for name, stage in pipeline.stages.items():
        if (own := stage.own(pipeline).data) is not None:
            places.append((own, ("stages", name, "data")))
    for data, place in places:
        if fault := _fault(data):
            yield (*place, "root"), fault


def _fault(data: Data) -> str | None:
    """Return what is wrong with a data set's files, or None."""
    check = _CHECKS.get(data.name)
    if check is None or data.root is None or not Path(data.root).exists():
        return None
    try:
        check(Path(data.root), resolve_arguments("dataset", data.name, data.arguments))
    except DataError as error:
        return str(error).splitlines()[0]
    except OSError as error:
        return f"{error.filename or data.root}: {error.strerror}"
    return None


def _check_class_folders(root: Path, arguments: Mapping[str, Any]) -> None:
    from kd.data.archive import is_archive, list_contents  # not at start-up: most job files need none of it
    from kd.data.class_folders import arrange

    if root.is_dir():
        files, folders = _examples(root)
    elif not is_archive(root) or (root.name.endswith("gz") and root.stat().st_size > LARGE_ARCHIVE):
        return
    else:
        contents = list_contents(root)
        files, folders = contents.others, contents.folders
    arrange(root, files, folders, arguments["test"])


def _examples(root: Path) -> tuple[list[str], list[str]]:
    """Return the folders below ``root``, and of each the first image and the first other file."""
    from kd.data.class_folders import is_image
    from kd.data.folder_walk import walk

    files: dict[tuple[str, bool], str] = {}
    folders = []
    for entry in walk(root):
        if entry.is_folder:
            folders.append(entry.path)
        else:
            files.setdefault((entry.path.rpartition("/")[0], is_image(entry.path)), entry.path)
    return list(files.values()), folders


def _check_table(root: Path, arguments: Mapping[str, Any]) -> None:
    from kd.data.frame_table import Columns, read_table, refuse, require_both_answers

    if not root.is_dir():
        return  # a decoded file
    images = [arguments[key] for key in ("image_column", "ir_column") if key in arguments]
    columns = Columns(images=tuple(images), labels=tuple(arguments["labels"]), class_name=arguments.get("class_column"))
    frames, faults = read_table(root, arguments["csv"], columns, look_for=ROWS_LOOKED_FOR)
    refuse(root / arguments["csv"], faults)
    require_both_answers(root / arguments["csv"], frames, columns.labels)


def _check_medmnist(root: Path, arguments: Mapping[str, Any]) -> None:
    from kd.data.medmnist_flags import find_file

    find_file(root, arguments["flag"], arguments["size"])


_CHECKS: Mapping[str, _Check] = {
    "image_folder": _check_class_folders,
    "paired_frames": _check_table,
    "labelled_images": _check_table,
    "medmnist": _check_medmnist,
}
