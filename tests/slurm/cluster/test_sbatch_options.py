"""What a profile's `sbatch:` may say, and what it is joined with."""

from __future__ import annotations

import pytest

from slurm.cluster.sbatch_options import OWNED, allowed_option, joined


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_kd_or_another_key_decides_is_refused(name: str) -> None:
    for spelt in (name, name.replace("-", "_")):
        with pytest.raises(ValueError, match=f"'{spelt}' may not be set here: "):
            allowed_option(spelt)


@pytest.mark.parametrize(
    "name",
    ["gres", "constraint", "comment", "exclusive", "reservation", "nice", "wckey", "exclude", "licenses", "begin"],
)
def test_the_site_s_own_options_are_allowed(name: str) -> None:
    assert allowed_option(name) == name


def test_both_values_of_an_option_that_both_need_are_sent() -> None:
    ours = {"gres": "gpu:a100:1", "constraint": "a100", "exclude": "n1"}
    site = {"gres": "lscratch:100", "constraint": "ib|roce", "exclude": "n2", "exclusive": True, "spread-job": False}
    assert joined(ours, site) == {
        "gres": "gpu:a100:1,lscratch:100",
        "constraint": "a100&(ib|roce)",
        "exclude": "n1,n2",
        "exclusive": True,
    }


def test_a_job_without_a_gpu_gets_the_site_s_values_alone() -> None:
    assert joined({}, {"gres": "lscratch:100", "constraint": "ib"}) == {"gres": "lscratch:100", "constraint": "ib"}
