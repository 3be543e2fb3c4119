"""A drafted profile: it loads as strictly as any, and says what Slurm told."""

from __future__ import annotations

from pathlib import Path

from slurm.cluster.capabilities import Capabilities, from_accounting, from_config, parse_config
from slurm.cluster.partitions_and_nodes import LiveState
from slurm.cluster.profile import Profile, load_profile
from slurm.commands.draft_profile import draft
from tests.slurm.made_cluster import busy_testbed, live, node, partition
from tests.slurm.made_runs import SAID


def loaded(folder: Path, state: LiveState, known: Capabilities, host: str = "login1.lab.org") -> tuple[str, Profile]:
    """Return the draft's text and the profile it loads as."""
    text = draft(state.partitions, known, host)
    file = folder / "drafted.yaml"
    file.write_text(text)
    name, found = load_profile(str(file))
    assert name == "drafted"
    return text, found


def test_the_draft_of_a_real_cluster_loads(tmp_path: Path) -> None:
    config = from_config(parse_config((SAID / "scontrol_config.txt").read_text()))
    user, qos = ((SAID / f"sacctmgr_{name}.txt").read_text() for name in ("user", "qos"))
    known = from_accounting(config, user, qos, None, "short")
    text, found = loaded(tmp_path, busy_testbed(), known)
    assert [(part.name, part.gpu_type, part.max_time, part.gpus_per_node) for part in found.partitions] == [
        ("markov_gpu", None, 2880, 4),
        ("a100", "a100", 1440, 4),
        ("v100", "v100", 1440, 4),
        ("low", None, 1440, 4),
    ]
    assert (found.partitions[0].cpus_per_node, found.partitions[0].memory_per_node) == (8, 20000)
    assert found.cpu_partition == "cpu"
    assert (found.gpu_type_as, found.gpu_speed) == ("gres", {"a100": 2.2, "v100": 1.0})
    assert (found.accounting, found.max_array, found.hosts) == (True, 1000, ["login*.lab.org"])
    assert "# has a100, v100; jobs may be preempted (REQUEUE)" in text
    assert "# account: one of lab, root; default: lab" in text
    assert "# QOS short allows 1h a job" in text
    assert "# QOS short allows 5 jobs in the queue" in text


def test_a_site_of_features(tmp_path: Path) -> None:
    nodes = node("n1", "p", gres="gpu:2", used="gpu:0", features="ib,v100") + node(
        "c1", "p", gres="(null)", used="gpu:0"
    )
    _, found = loaded(tmp_path, live(partition("p", MaxTime="UNLIMITED"), nodes), Capabilities(cluster="x"))
    (part,) = found.partitions
    assert (found.gpu_type_as, part.gpu_type, part.max_time) == ("constraint", "v100", None)
    assert found.cpu_partition is None


def test_a_site_that_tells_no_types(tmp_path: Path) -> None:
    text, found = loaded(tmp_path, live(partition("p"), node("n1", "p", gres="gpu:2", used="gpu:0")), Capabilities())
    assert (found.gpu_type_as, found.partitions[0].gpu_type, found.gpu_speed) == ("partition", None, {})
    assert not found.accounting
    assert "max_array" not in text


def test_slices_closed_partitions_and_strange_names_stay_out(tmp_path: Path) -> None:
    text = partition("p") + partition("gone", State="DOWN") + partition("roots", RootOnly="YES")
    gres = "gpu:a100:1,gpu:a100_1g.5gb:7,gpu:mi250+x:1,gpu:mi250:1"
    nodes = node("n1", "p", gres=gres) + node("n2", "gone") + node("n3", "roots")
    told, found = loaded(tmp_path, live(text, nodes), Capabilities(unreadable=("sacctmgr",)))
    assert [(part.name, part.gpus_per_node) for part in found.partitions] == [("p", 3)]
    assert list(found.gpu_speed) == ["a100"]
    assert "# gpu_speed: please add mi250\n" in told
    assert "# sacctmgr did not answer" in told


def test_names_that_yaml_would_misread_stay_text(tmp_path: Path) -> None:
    nodes = node("n1", "2080", gres="gpu:2080ti:2", used="gpu:2080ti:0") + node("c", "no", gres="(null)", used="gpu:0")
    _, found = loaded(tmp_path, live(partition("2080") + partition("no"), nodes), Capabilities(cluster='a "b" \\'))
    assert [part.name for part in found.partitions] == ["2080"]
    assert found.cpu_partition == "no"
    assert found.about == 'the cluster a "b" \\'


def test_a_cluster_without_anything_still_drafts(tmp_path: Path) -> None:
    _, found = loaded(tmp_path, live("", ""), Capabilities(), host="localhost")
    assert (found.partitions, found.hosts) == ([], [])
