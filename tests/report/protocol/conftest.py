"""Runs that pass a toy protocol, as a training leaves their records."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.report.protocol.file import Protocol

FID = "fid[digits-cnn-v1,n=359,ref=train,ema]"
KEY = "7e" * 32
RULES: dict[str, Any] = {
    "name": "toy",
    "version": 1,
    "data": {"name": "digits", "shape": [1, 8, 8], "key": KEY},
    "budget": {"seconds": 60, "device": "cpu (1 thread)"},
    "scores": [FID, "bits_per_dim"],
    "seeds": [0, 1, 2],
    "settings": {"metrics.samples": 359},
    "excluded": ["pretrained"],
}
CONFIG: dict[str, Any] = {
    "seed": 0,
    "runs_dir": "/home/somebody/runs",
    "objective": "fid",
    "image": {"shape": [1, 8, 8]},
    "model": {"shape": [1, 8, 8]},
    "data": {"_target_": "genbench.data.Digits", "binarize": False},
    "budget": {"images": None, "seconds": 60, "flops": None, "until": None},
    "optim": {"lr": 0.004},
    "metrics": {"samples": 359},
}
COST = {"images_seen": 9000, "training_seconds": 60.1, "device": "cpu (1 threads)", "parameters": 10}
Train = Callable[..., Path]


@pytest.fixture
def rules() -> dict[str, Any]:
    return copy.deepcopy(RULES)


@pytest.fixture
def toy() -> Protocol:
    return Protocol.of(copy.deepcopy(RULES))


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested dicts with some of their values replaced."""
    found = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Writes the records of one run: its model, seed and FID, with changes of its result and its run.json."""

    def written(
        model: str = "vae",
        seed: int = 0,
        fid: float = 5.0,
        *,
        change: dict[str, Any] | None = None,
        record: dict[str, Any] | None = None,
    ) -> Path:
        path = tmp_path / "runs" / f"{model}-seed{seed}"
        path.mkdir(parents=True)
        result = {
            "genbench": "0.2.0",
            "group": "toy",
            "run": path.name,
            "status": "done",
            "identity": f"{model}{seed}",
            "data_key": KEY,
            "choices": {"model": model, "data": "digits", "conditional": "false", "tracker": "jsonl"},
            "seed": seed,
            "config": CONFIG | {"seed": seed},
            "metrics": {FID: fid + 0.1 * seed, FID.replace("ema", "raw"): "nan"},
            "likelihood": {"bits_per_dim": 3.0 + 0.01 * seed, "bound": "lower", "method": "elbo", "n": 359},
            "cost": COST,
        }
        (path / "result.json").write_text(json.dumps(merged(result, change or {})))
        run = {
            "git": {"commit": "a" * 40, "dirty": False},
            "versions": {"genbench": "0.2.0", "torch": "2.8.0"},
        }
        (path / "run.json").write_text(json.dumps(merged(run, record or {})))
        return path

    return written
