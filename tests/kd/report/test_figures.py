"""Figures: which there are, what they show, and that equal numbers give equal files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from kd.report.collect import collect
from kd.report.figures.draw import draw_figures
from kd.report.figures.style import COLOURS, colour
from kd.report.figures.timeline import timeline
from kd.rundir.drawn_file import Drawn, Embedding, LayerMaps, Picture, write_drawn
from kd.rundir.folders import JobKey
from tests.kd.report.builder import RunBuilder, three_stages


def drawn(run: RunBuilder, folder: Path) -> dict[str, Path]:
    base = run.run.path
    drawings = draw_figures("cnn", collect([base], base)["cnn"], base, folder)
    return {drawing.name: drawing.svg for drawing in drawings}


def dots(svg: Path) -> int:
    """Count the marks of all scatter plots of a figure."""
    groups = ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}g")
    scatters = [group for group in groups if group.get("id", "").startswith("PathCollection")]
    return sum(len(list(group.iter("{http://www.w3.org/2000/svg}use"))) for group in scatters)


def test_every_seed_is_a_dot(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2, 3]).finish("teacher", {1: 0.9, 2: 0.91, 3: 0.92})
    run.finish("baseline", {1: 0.8, 2: 0.81}).finish("distilled", {1: 0.85, 2: 0.86})
    figures = drawn(run, tmp_path / "figures")
    assert list(figures) == ["cnn_accuracy", "cnn_differences", "cnn_curves"]
    assert dots(figures["cnn_accuracy"]) == 3 + 2 + 2
    assert dots(figures["cnn_differences"]) == 2
    assert all(svg.with_suffix(".png").read_bytes().startswith(b"\x89PNG") for svg in figures.values())


def test_equal_numbers_give_equal_files(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9})
    one, two = drawn(run, tmp_path / "one"), drawn(run, tmp_path / "two")
    assert one
    assert [svg.read_bytes() for svg in one.values()] == [svg.read_bytes() for svg in two.values()]


def test_many_stages_leave_the_curves_their_room(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run")
    for number in range(30):
        run = run.stage(f"student_of_method_{number}", "other", [1]).finish(f"student_of_method_{number}", {1: 0.5})
    curves = drawn(run, tmp_path / "figures")["cnn_curves"]  # matplotlib's warning of collapsed axes is an error here
    assert float(ElementTree.parse(curves).getroot().attrib["height"].removesuffix("pt")) > 72 * 5


def test_nothing_finished_is_nothing_drawn(tmp_path: Path) -> None:
    assert drawn(three_stages(tmp_path / "run", [1]), tmp_path / "figures") == {}
    assert not (tmp_path / "figures").exists()


def test_colours_start_over_after_the_last() -> None:
    assert colour(0) == colour(len(COLOURS)) == COLOURS[0]


def test_many_curves_leave_room_for_themselves(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run")
    for number in range(20):  # their names would cover the axes, about which matplotlib warns
        run.stage(f"a_rather_long_name_{number}", "distilled", [1]).finish(f"a_rather_long_name_{number}", {1: 0.9})
    curves = drawn(run, tmp_path / "figures")["cnn_curves"]
    lines = ElementTree.parse(curves).iter("{http://www.w3.org/2000/svg}g")
    assert sum(group.get("id", "").startswith("line2d") for group in lines) > 2 * 20  # of curves and of their names


def test_what_stages_left_to_be_drawn_is_drawn_and_what_they_did_not_is_named(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2], draw={"embeddings": 5, "feature_maps": ["stage1"]})
    run.finish("teacher", {1: 0.9, 2: 0.9}).finish("baseline", {1: 0.8}).finish("distilled", {1: 0.8})
    grey = Picture(height=2, width=2, channels=1, pixels=bytes(4))
    for stage in ("teacher", "distilled"):
        fingerprint = run.jobs[JobKey(stage, 1)]["fingerprint"]
        embedding = Embedding(method="tsne", points=[(0.0, 1.0)] * 5, labels=list("aabbb"))
        maps = LayerMaps(layer="stage1", attention=[grey, grey], maps=[[grey], [grey]])
        found = Drawn(fingerprint=fingerprint, embedding=embedding, images=[grey] * 2, labels=["a", "a"], layers=[maps])
        write_drawn(run.folder(stage, 1), found)
    figures = drawn(run, tmp_path / "figures")
    assert {"cnn_embeddings", "cnn_attention", "cnn_feature_maps"} <= set(figures)
    assert dots(figures["cnn_embeddings"]) == 2 * 5
    (missing,) = collect([run.run.path], run.run.path)["cnn"].undrawn
    assert missing.stage == "baseline"
    assert missing.command == (
        "python -m kd.drawing.drawn_images stages/baseline/seed-1 --embeddings 5 --method tsne --feature-maps stage1"
    )


def test_the_timeline_shows_how_long_each_job_waited_and_ran(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1])
    for place, stage in enumerate(("teacher", "baseline")):
        job = {"submitted": 1000.0, "started": 1500.0 + place, "staging": {"seconds_in": 60.0}}
        run.finish(stage, {1: 0.9}, job=job, finished=9000.0)
    family = collect([run.run.path], run.run.path)["cnn"]
    figure = timeline(family, run.run.path)
    assert figure is not None
    bars = [(bar.get_x() * 60, bar.get_width() * 60) for bar in figure.axes[0].patches]
    expected = [(0, 500), (500, 60), (560, 7440), (0, 501), (501, 60), (561, 7439)]
    assert [tuple(map(round, bar)) for bar in bars] == expected
    assert figure.axes[0].get_xlabel().startswith("minutes")


def test_a_teacher_of_an_earlier_run_does_not_squeeze_the_timeline(tmp_path: Path) -> None:
    run, month = three_stages(tmp_path / "run", [1]), 30 * 86400.0
    run.finish("teacher", {1: 0.9}, job={"submitted": 1000.0, "started": 1000.0}, finished=2000.0)
    later = {"submitted": 2000.0 + month, "started": 2000.0 + month}
    run.finish("baseline", {1: 0.9}, job=later, finished=3000.0 + month)
    figure = timeline(collect([run.run.path], run.run.path)["cnn"], run.run.path)
    assert figure is not None
    bars = [(round(bar.get_x() * 60), round(bar.get_width() * 60)) for bar in figure.axes[0].patches]
    assert bars == [(0, 1000), (1100, 1000)]  # a twentieth of the busy 2,000 s is left of the month
    assert figure.axes[0].get_xlabel().endswith("dotted: idle time that is cut")
