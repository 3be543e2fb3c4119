"""A result.json as the first release wrote it, whole."""

from __future__ import annotations

from typing import Any

TRAINED: dict[str, Any] = {
    "format": 1,
    "stage": "distilled",
    "seed": 1,
    "kind": "distill",
    "role": "distilled",
    "pipeline": "quickstart",
    "fingerprint": "bc74341956579266eb492d8b2f31ac75",
    "parents": {"teacher": {"stage": "teacher", "seed": 1, "fingerprint": "417155b4822c36ca0c56e2e5eff75195"}},
    "device": "cpu: AMD EPYC, 1 thread",
    "precision": "bfloat16",
    "torch": "2.13.0+cpu",
    "data": {
        "name": "digits",
        "train": 100,
        "validation": 80,
        "test": 360,
        "classes": 10,
        "split_digest": "9539a052902af245eb162e1183815e830f564fc681ae95cf89d7b1ced7366d9a",
    },
    "model": {"name": "convnet", "arguments": {"width": 8, "blocks": 2}},
    "parameters": 1442,
    "trainable_parameters": 1442,
    "epochs": 150,
    "best_epoch": 82,
    "attempts": 1,
    "validation": {
        "best": {
            "accuracy": 0.9125,
            "precision": 0.9216666666666666,
            "recall": 0.9125,
            "f1_score": 0.9117880485527545,
            "loss": 0.2831907272338867,
        },
        "last": {
            "accuracy": 0.8625,
            "precision": 0.8767063492063493,
            "recall": 0.8625,
            "f1_score": 0.8644561157796453,
            "loss": 0.2883676767349243,
        },
    },
    "images_per_second": 8715.536871444172,
    "metric": "accuracy",
    "test": {
        "best": {
            "accuracy": 0.9166666666666666,
            "precision": 0.9175246110772427,
            "recall": 0.9165701415701415,
            "f1_score": 0.9159539648881323,
            "loss": 0.3090293460422092,
        },
        "last": {
            "accuracy": 0.9194444444444444,
            "precision": 0.9215386285123127,
            "recall": 0.9193479193479195,
            "f1_score": 0.9191705144462169,
            "loss": 0.2898684607611762,
        },
    },
    "file": {"name": "checkpoint/best.safetensors", "bytes": 7416},
    "cost": {
        "flops": 46400,
        "cpu": {
            "latency": {"median": 0.0002014695000127631, "p95": 0.00030278970002655113, "threads": 1, "rounds": 20}
        },
    },
    "seconds": {"total": 4.379856643999972, "train": 1.908271488999958, "measure": 0.016620772999999645},
    "processes": 1,
    "gpu_memory_mb": 0.0,
    "files": {
        "checkpoint/best.safetensors": "a630623697f1a5c28b4370ee8e05bdf6f9d4cbddb0b094b3054cd30267b04320",
        "checkpoint/last.safetensors": "e8acf564ab5bee9182b393f6e53696a939cd9f7dfb58ef37dfbd6abb3c913d88",
        "metrics.csv": "8a5ba022193521edd404fed88444e0b45eb7d5aef5a8ee96849e0b3caca5d398",
    },
    "job": {
        "executor": "local",
        "cluster": "local",
        "job_id": None,
        "partition": None,
        "host": "vm",
        "attempt": 1,
        "restarts": 0,
        "submitted": None,
        "started": 1795729408.8617158,
        "scratch": "works in place (not a Slurm job)",
        "staging": {
            "work": "in place",
            "data": "in place",
            "seconds_in": 0.003,
            "bytes_in": 0,
            "seconds_out": 0.001,
            "bytes_out": 0,
            "data_sha256": {},
        },
    },
    "finished": 1795729414.3789876,
    "teacher": {"stage": "teacher", "seed": 1, "validation_accuracy": 0.95},
}
