"""The resume file: two generations, and no trust in its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kd.train.checkpoint import load_resume, random_state, save_resume, set_random_state


def test_the_newest_of_two_generations_is_read(tmp_path: Path) -> None:
    assert load_resume(tmp_path) is None
    for step in (1, 2, 3):
        save_resume(tmp_path, {"step": step, "weights": {"w": torch.full((2,), float(step))}})
    loaded = load_resume(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 3
    assert loaded["weights"]["w"].tolist() == [3.0, 3.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resume.previous.pt", "resume.pt"]


def test_never_more_than_two_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    real = torch.save

    def watching(values: object, path: Path) -> None:
        real(values, path)
        seen.append(sorted(each.name for each in tmp_path.iterdir()))

    monkeypatch.setattr(torch, "save", watching)
    for step in range(4):
        save_resume(tmp_path, {"step": step})
    assert [len(names) for names in seen] == [1, 2, 2, 2]
    assert all("resume.pt" in names for names in seen[1:]), "the last good one stays until the next one is whole"


def test_a_damaged_file_does_not_take_the_place_of_the_one_before(tmp_path: Path) -> None:
    for step in (1, 2):
        save_resume(tmp_path, {"step": step, "weights": torch.full((2,), float(step))})
    cut_in_half(tmp_path / "resume.pt")
    save_resume(tmp_path, {"step": 3})
    (tmp_path / "resume.pt").unlink()
    loaded = load_resume(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 1


def test_tensors_that_share_memory_are_written_once(tmp_path: Path) -> None:
    weights = torch.randn(10_000)
    save_resume(tmp_path, {"model": {"w": weights}, "best": {"w": weights.detach()}})
    assert (tmp_path / "resume.pt").stat().st_size < 1.2 * weights.nbytes


def flip_a_byte(path: Path) -> None:
    """Change one byte of the tensor's data, which torch.load alone would not notice."""
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x40\x40" * 8)] ^= 1
    path.write_bytes(raw)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_byte, cut_in_half, empty, Path.unlink])
def test_a_damaged_file_gives_way_to_the_one_before(tmp_path: Path, damage, capsys) -> None:
    weights = torch.frombuffer(bytearray(b"\x40" * 400), dtype=torch.float32)
    for step in (1, 2):
        save_resume(tmp_path, {"step": step, "weights": weights})
    damage(tmp_path / "resume.pt")
    loaded = load_resume(tmp_path)
    assert loaded is not None
    assert loaded["step"] == 1
    if damage is not Path.unlink:
        assert "resume.pt is damaged and ignored" in capsys.readouterr().err
    damage(tmp_path / "resume.previous.pt")
    assert load_resume(tmp_path) is None


def test_a_file_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"trap": Path.unlink}, tmp_path / "resume.pt")
    assert load_resume(tmp_path) is None


def test_the_generators_go_on_where_they_were() -> None:
    torch.manual_seed(3)
    torch.rand(5)
    state = random_state()
    expected = torch.rand(4)
    torch.manual_seed(99)
    set_random_state(state)
    assert torch.equal(torch.rand(4), expected)
