"""A data set whose files cannot work is refused when its job file is loaded, with the line of its root."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from kd.errors import SpecError
from kd.jobfile.load import load_pipeline

JOB = """\
pipeline: mine
data: {{name: {name}, root: {root}, validation: 2, {arguments}}}
seeds: [1]
stages:
  teacher: {{kind: train, model: convnet, epochs: 1, optimizer: {{name: sgd, lr: 0.1}}, loss: {{{loss}: 1}}}}
"""


def write(tmp_path: Path, name: str, root: Path, arguments: str, loss: str = "ce") -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB.format(name=name, root=root, arguments=arguments, loss=loss))
    return path


def tree(folder: Path, *paths: str) -> Path:
    """Write empty files: names are looked at, and no image is opened."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


GOOD = ("train/a/1.png", "train/b/x/1.png", "test/a/1.png", "test/b/1.png")


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as error:
        load_pipeline(str(path))
    (line,) = error.value.lines
    assert line.startswith(f"{path}:2:")
    return line


@pytest.mark.parametrize("packed", [False, True])
def test_class_folders_are_looked_at_in_folders_and_archives(tmp_path: Path, packed: bool) -> None:
    def root(*paths: str) -> Path:
        folder = tree(tmp_path / f"set{len(paths)}", *paths)
        if not packed:
            return folder
        with tarfile.open(f"{folder}.tar.gz", "w:gz") as tar:
            tar.add(folder, folder.name)
        return Path(f"{folder}.tar.gz")

    assert load_pipeline(str(write(tmp_path, "image_folder", root(*GOOD), "size: 8")))
    line = refused(write(tmp_path, "image_folder", root(*GOOD[:2]), "size: 8"))
    assert "images are needed under train/<class>/ and test/<class>/" in line
    assert load_pipeline(str(write(tmp_path, "image_folder", root(*GOOD[:2]), "size: 8, test: 0.2")))
    (tmp_path / "set4/train/c").mkdir()
    assert "a class folder without an image" in refused(write(tmp_path, "image_folder", root(*GOOD), "size: 8"))


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", *GOOD)
    (folder / "train/c").symlink_to(tmp_path / "gone")
    line = refused(write(tmp_path, "image_folder", folder, "size: 8"))
    assert line.endswith("set/train/c: a link to what is not there; remove it")


def test_tables_are_looked_at_with_their_files(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", "1.png", "2.png")
    (folder / "labels.csv").write_text("image_path,sun\n1.png,1\n2.png,0\n")
    arguments = "labels: [sun], size: 8"
    assert load_pipeline(str(write(tmp_path, "labelled_images", folder, arguments, "bce")))
    (folder / "2.png").unlink()
    line = refused(write(tmp_path, "labelled_images", folder, arguments, "bce"))
    assert line.endswith("1 fault on 1 line, the first on line 3: image_path: '2.png': no such file")


def test_a_folder_without_the_file_of_a_flag_is_refused(tmp_path: Path) -> None:
    line = refused(write(tmp_path, "medmnist", tree(tmp_path / "set", "pathmnist.npz"), "flag: bloodmnist"))
    assert line.endswith("set: holds no bloodmnist.npz")


def test_a_root_that_is_not_on_this_machine_and_a_tiny_run_are_no_mistakes(tmp_path: Path) -> None:
    assert load_pipeline(str(write(tmp_path, "image_folder", tmp_path / "on-the-cluster", "size: 8")))
    path = write(tmp_path, "image_folder", tree(tmp_path / "set", "1.png"), "size: 8")
    assert load_pipeline(str(path), tiny=True)


def test_looking_at_files_loads_no_torch_and_no_image_library(tmp_path: Path) -> None:
    path = write(tmp_path, "image_folder", tree(tmp_path / "set", *GOOD), "size: 8")
    code = "import sys; from kd.jobfile.load import load_pipeline; load_pipeline(sys.argv[1]); " \
        "print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
