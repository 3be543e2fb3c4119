"""The probe of a cluster: what is read from real answers, how often Slurm is asked, and what its silence leads to."""

from __future__ import annotations

import getpass
import os
import re
from pathlib import Path

import pytest

from kd.errors import ClusterError
from kd.files import read_json, write_json
from slurm.cluster.capabilities import (
    KEPT_SECONDS,
    Capabilities,
    cache_folder,
    capabilities,
    from_accounting,
    from_config,
    parse_config,
    parse_sshare,
    probe,
)
from tests.slurm.made_cluster import answers, imitate_testbed
from tests.slurm.made_runs import SAID, FakeSlurm, fake_slurm
from tests.testbed import Testbed

__all__ = ["fake_slurm"]

USER = "lab|testbed|lab||normal,short|normal|500||\n"
QOS = "normal||||\nshort|01:00:00|5||\n"


@pytest.fixture
def imitated(fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeSlurm:
    """The testbed's answers to root, and a configuration file that names the cluster."""
    imitate_testbed(fake_slurm.folder)
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    (tmp_path / "slurm.conf").write_text("ClusterName=testbed\nSlurmctldHost=controller\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    return fake_slurm


HERE = Capabilities(cluster="testbed")


def asked(fake: FakeSlurm) -> list[str]:
    return [call.split()[0] for name in ("scontrol", "sacctmgr", "sshare") for call in fake.calls(name)]


def test_a_real_cluster_is_known_after_three_calls(imitated: FakeSlurm) -> None:
    found = probe()
    assert asked(imitated) == ["scontrol", "sacctmgr", "sacctmgr"]
    assert found.probed > 0
    assert found == Capabilities(
        cluster="testbed",
        controller="controller(127.0.0.1)",
        version="22.05.8",
        accounting=True,
        max_array_size=1001,
        max_job_count=10000,
        min_job_age_seconds=300,
        requeue=True,
        preempt_type="partition_prio",
        preempt_mode="REQUEUE",
        preemption_signal=True,
        kill_invalid_dependents=False,
        enforce_part_limits="NO",
        account="lab",
        qos="normal",
        default_account="lab",
        default_qos="normal",
        accounts=("lab", "root"),
        max_submit=500,
        max_submit_of="account lab",
        probed=found.probed,
    )


def test_the_tightest_limit_counts_and_says_whose_it_is(imitated: FakeSlurm) -> None:
    found = probe(qos="short")
    assert (found.max_submit, found.max_submit_of) == (5, "QOS short")
    assert (found.max_minutes, found.max_minutes_of) == (60, "QOS short")
    assert probe(account="root").max_submit is None


def test_only_this_clusters_whole_associations_count() -> None:
    rows = "lab|other|lab||normal|normal|1||\nlab|testbed|lab|gpu|normal|normal|2||\n" + USER
    assert from_accounting(HERE, rows, QOS, None, None).max_submit == 500
    assert from_accounting(HERE, "", "", None, None).default_account is None


def test_the_only_qos_of_an_association_is_its_default() -> None:
    assert from_accounting(HERE, "lab|testbed|lab||long||||\n", QOS, None, None).default_qos == "long"
    assert from_accounting(HERE, "lab|testbed|lab||long,short||||\n", QOS, None, None).default_qos is None


def test_limits_of_time_are_found_in_associations_too() -> None:
    found = from_accounting(HERE, "lab|testbed|lab||normal|normal||20|1-00:00:00\n", QOS, None, None)
    assert (found.max_submit, found.max_minutes, found.max_minutes_of) == (20, 1440, "account lab")


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("PreemptParameters = send_user_signal,youngest_first", "preemption_signal", True),
        ("SlurmctldParameters = preempt_send_user_signal", "preemption_signal", True),
        ("SlurmctldParameters = (null)", "preemption_signal", False),
        ("DependencyParameters = kill_invalid_depend", "kill_invalid_dependents", True),
        ("JobRequeue = 0", "requeue", False),
        ("AccountingStorageType = accounting_storage/none", "accounting", False),
        ("AccountingStorageType = (null)", "accounting", False),
        ("MaxArraySize = 0", "max_array_size", 0),
        ("MinJobAge = 2 sec", "min_job_age_seconds", 2),
        ("SlurmctldHost[0] = ctl1", "controller", "ctl1"),
    ],
)
def test_the_configuration_is_read_in_every_versions_spelling(line: str, key: str, value: object) -> None:
    assert getattr(from_config(parse_config(line)), key) == value


def test_no_accounting_takes_one_call(imitated: FakeSlurm) -> None:
    config = (
        (SAID / "scontrol_config.txt").read_text().replace("accounting_storage/slurmdbd", "accounting_storage/none")
    )
    answers(imitated.folder, "scontrol", {"config": config})
    assert not probe().accounting
    assert asked(imitated) == ["scontrol"]


def test_a_closed_database_is_named_and_sshare_tells_the_accounts(imitated: FakeSlurm) -> None:
    answers(imitated.folder, "sacctmgr", {}, silent="show")
    found = probe()
    assert found.unreadable == ("sacctmgr",)
    assert found.accounts == ("root", "lab")
    assert asked(imitated) == ["scontrol", "sacctmgr", "sshare"]


def test_a_closed_list_of_qos_is_named(imitated: FakeSlurm) -> None:
    answers(imitated.folder, "sacctmgr", {"user": SAID / "sacctmgr_user.txt"}, silent="qos")
    found = probe()
    assert (found.unreadable, found.max_submit) == (("sacctmgr show qos",), 500)


def test_shares_of_others_are_not_ours() -> None:
    assert parse_sshare("root|\n lab|\n  lab|alice\n  lab2|bob\nnonsense\n", "alice") == ("lab",)


def test_a_silent_controller_is_one_line(imitated: FakeSlurm) -> None:
    imitated.says("scontrol", "", error="slurm_load_ctl_conf error:\nUnable to contact\n", code=1)
    with pytest.raises(ClusterError, match=r"^scontrol does not answer: slurm_load_ctl_conf error: Unable to contact$"):
        probe()


class TestCache:
    def test_accounting_is_asked_once_a_day(self, imitated: FakeSlurm, tmp_path: Path) -> None:
        first = capabilities(cache=tmp_path / "cache")
        assert capabilities(cache=tmp_path / "cache") == first
        assert asked(imitated) == ["scontrol", "scontrol", "sacctmgr", "sacctmgr"]
        (file,) = (tmp_path / "cache").iterdir()
        for age in (KEPT_SECONDS + 1, -100.0):  # too old, or from a clock that was wrong
            write_json(file, {**read_json(file), "probed": first.probed - age})
            capabilities(cache=tmp_path / "cache")
        assert asked(imitated).count("sacctmgr") == 6

    def test_accounting_that_is_gone_is_noticed_at_once(self, imitated: FakeSlurm, tmp_path: Path) -> None:
        assert capabilities(cache=tmp_path / "cache").accounting
        said = (SAID / "scontrol_config.txt").read_text()
        imitated.says("scontrol", re.sub(r"(AccountingStorageType\s*=).*", r"\1 accounting_storage/none", said))
        found = capabilities(cache=tmp_path / "cache")
        assert (found.accounting, found.max_submit) == (False, None)

    def test_a_controller_that_is_silent_for_a_moment_costs_nothing(self, imitated: FakeSlurm, tmp_path: Path) -> None:
        first = capabilities(cache=tmp_path / "cache")
        imitated.says("scontrol", "", error="Unable to contact slurm controller\n", code=1)
        assert capabilities(cache=tmp_path / "cache") == first

    def test_refresh_asks_anew(self, imitated: FakeSlurm, tmp_path: Path) -> None:
        capabilities(cache=tmp_path / "cache")
        capabilities(cache=tmp_path / "cache", refresh=True)
        assert len(asked(imitated)) == 6

    @pytest.mark.parametrize("change", ["account", "qos", "cluster", "controller", "file"])
    def test_another_cluster_account_or_qos_is_asked_for_itself(
        self, imitated: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        cache = tmp_path / "cache"
        capabilities(cache=cache)
        conf = tmp_path / "slurm.conf"
        if change == "file":
            monkeypatch.setenv("SLURM_CONF", str(conf.rename(tmp_path / "other.conf")))
        elif change in ("cluster", "controller"):
            text = conf.read_text()
            conf.write_text(text.replace("testbed", "x") if change == "cluster" else text.replace("controller", "x"))
        capabilities("root" if change == "account" else None, "short" if change == "qos" else None, cache=cache)
        assert len(asked(imitated)) == 6
        assert len(list(cache.iterdir())) == 2

    def test_lines_of_the_configuration_that_name_no_cluster_change_nothing(
        self, imitated: FakeSlurm, tmp_path: Path
    ) -> None:
        capabilities(cache=tmp_path / "cache")
        with open(tmp_path / "slurm.conf", "a") as file:
            file.write("NodeName=n1\n")
        capabilities(cache=tmp_path / "cache")
        assert asked(imitated).count("sacctmgr") == 2

    @pytest.mark.parametrize("text", ["{cut", "[]", '{"format": 1}', '{"format": 99}'])
    def test_a_damaged_file_is_written_anew(self, imitated: FakeSlurm, tmp_path: Path, text: str) -> None:
        first = capabilities(cache=tmp_path / "cache")
        (file,) = (tmp_path / "cache").iterdir()
        file.write_text(text)
        assert capabilities(cache=tmp_path / "cache").cluster == first.cluster
        assert read_json(file)["cluster"] == "testbed"

    def test_a_home_that_cannot_be_written_costs_a_probe_each_time(self, imitated: FakeSlurm, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for _ in range(2):
            assert capabilities(cache=tmp_path / "file" / "cache").cluster == "testbed"
        assert len(asked(imitated)) == 6

    def test_it_lies_in_the_users_cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_folder() == tmp_path / "kd" / "clusters"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache_folder() == tmp_path / ".cache" / "kd" / "clusters"


@pytest.mark.slurm
def test_a_real_slurm_answers_the_probe(testbed: Testbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_CONF", testbed.environment["SLURM_CONF"])
    found = capabilities(cache=tmp_path)
    assert (found.cluster, found.max_array_size, found.accounting) == ("testbed", 1001, True)
    assert (found.default_account, found.unreadable) == ("lab", ())
    assert os.listdir(tmp_path) != []
