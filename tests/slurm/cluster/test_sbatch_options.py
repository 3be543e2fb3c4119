"""What a profile's `sbatch:` may say, and what it is joined with."""

from __future__ import annotations

import pytest

from slurm.cluster.sbatch_options import OWNED, allowed_gres, allowed_option, joined


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


@pytest.mark.parametrize(
    ("features", "joint"),
    [
        ("[rack1|rack2]", "a100&[rack1|rack2]"),
        ("ib&[rack1|rack2]", "a100&ib&[rack1|rack2]"),
        ("(ib|roce)&ssd", "a100&(ib|roce)&ssd"),
        ("(ib&ssd)|roce", "a100&((ib&ssd)|roce)"),
        ("ib&ssd|roce", "a100&(ib&ssd|roce)"),
    ],
)
def test_a_sites_alternatives_never_free_a_job_of_its_gpu_type(features: str, joint: str) -> None:
    assert joined({"constraint": "a100"}, {"constraint": features}) == {"constraint": joint}


@pytest.mark.parametrize("value", ["gpu", "lscratch:1,gpu:2", "lscratch:1, gpu:2", "gres:gpu:1", "gres/gpu=1"])
def test_gpus_in_a_sites_gres_are_refused_in_every_spelling(value: str) -> None:
    with pytest.raises(ValueError, match="names GPUs"):
        allowed_gres(value)
