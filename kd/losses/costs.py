"""What each loss costs in a step, in milliseconds of a processor: written by ``benchmarks/losses.py``."""

from __future__ import annotations

from collections.abc import Mapping

MILLISECONDS: Mapping[str, float] = {
    "ab": 217.09,
    "at": 26.72,
    "balanced_bce": 0.17,
    "balanced_ce": 0.17,
    "bce": 0.08,
    "binary_kd": 0.28,
    "cc": 0.72,
    "ce": 0.11,
    "crd": 118.36,
    "ctkd": 0.24,
    "dist": 1.02,
    "dkd": 0.47,
    "fitnet": 37.61,
    "fsp": 72.94,
    "ft": 674.6,
    "hard_kd": 0.08,
    "ickd": 118.5,
    "kd": 0.13,
    "kd_standardised": 0.31,
    "mgd": 265.2,
    "mlkd": 2.72,
    "nkd": 0.32,
    "normkd": 0.54,
    "nst": 304.33,
    "ofa": 0.16,
    "ofd": 161.02,
    "pkt": 0.52,
    "review": 2782.38,
    "rkd": 23.18,
    "semckd": 4865.3,
    "sp": 11.09,
    "srd": 0.65,
    "tfkd": 0.15,
    "vid": 318.29,
    "wsld": 0.2,
    "wttm": 0.19,
}
