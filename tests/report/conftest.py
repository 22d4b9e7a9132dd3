"""Result files as a run writes them."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"

RESULT: dict[str, Any] = {
    "genbench": "0.1.0",
    "group": "digits",
    "run": "ddpm",
    "status": "done",
    "data_key": "images",
    "choices": {
        "model": "ddpm",
        "data": "digits",
        "schedule": "cosine",
        "loss": "l2",
        "parameterization": "v",
        "sampler": "ddim",
        "network": "unet",
    },
    "seed": 1,
    "config": {"model": {"width": 8}, "budget": {"_target_": "Budget", "images": 60000, "seconds": None}},
    "metrics": {
        "is_std[digits-cnn-v1,n=359,ema]": 0.05,
        "is[digits-cnn-v1,n=359,ema]": 2.5,
        "kid[digits-cnn-v1,n=359,ref=train,ema]": -0.001,
        FID.format("test"): 1.25,
        FID.format("raw"): 12.0,
        FID.format("ema"): 3.14159,
    },
    "likelihood": {"bits_per_dim": 3.5, "bound": "lower", "method": "elbo", "n": 359},
    "reconstruction": {"mse": 0.0123, "n": 359},
    "cost": {
        "parameters": 1234567,
        "images_seen": 64000,
        "training_seconds": 12.5,
        "images_per_second": 5120.0,
        "passes_per_sample": 50.0,
        "seconds_per_image": 0.01,
        "sampling_batch": 100,
        "peak_memory_bytes": 1000,
        "evaluation_seconds": 3.0,
        "out_of_range": 0.01,
        "device": "cpu",
    },
    "samples": {"grid": "samples/final.png"},
}


@pytest.fixture
def evaluated() -> Callable[..., None]:
    """Appends lines to the evaluations of a run; what they do not say is as of its result."""

    def append(path: Path, *records: dict[str, Any] | bytes) -> None:
        content = json.loads(path.read_text())
        same = {name: content[name] for name in ("identity", "data_key", "seed")}
        same |= {"images_seen": content["cost"]["images_seen"], "weights": "ema", "likelihood": None}
        with (path.parent / "evaluations.jsonl").open("ab") as file:
            for record in records:
                line = record if isinstance(record, bytes) else json.dumps(same | record).encode()
                file.write(line + b"\n")

    return append


@pytest.fixture
def result() -> dict[str, Any]:
    return copy.deepcopy(RESULT)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the result of a run below tmp_path, with some of its sections replaced."""
    written = []

    def write_result(run: str, **changes: object) -> Path:
        written.append(run)
        path = tmp_path / run / "result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        own = {"run": path.parent.name, "identity": str(len(written))}
        path.write_text(json.dumps(RESULT | own | changes, indent=2))  # as runs write theirs
        return path

    return write_result
