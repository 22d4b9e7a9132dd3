"""Stand-ins for the placeholders of pages: tiny runs, images and files, in a folder of their own."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.documents.pages import ROOT

RECORDED = sorted((ROOT / "tests" / "earlier_runs").iterdir())
"""Runs of seconds, with weights: a guided conditional DDPM, a flow, a GAN and a VAE, on digits."""
OF_TEXT = ROOT / "tests" / "documents" / "recorded"
"""A run of seconds, with weights: a DDPM of captioned scenes, which takes prompts."""
OF_PLUGIN = {"model": "pixels", "data": "stripes", "schedule": "square", "scores": "greyness"}
"""The option of the example plug-in for each group; it stands for NAME, the reader's own."""


def folder(place: Path) -> Path:
    """Fill an empty folder with runs, two seeds of four models, with images and with arrays."""
    for run in RECORDED:
        for seed in (0, 1):
            copy_run(run, place / "runs" / "default", seed)
    shutil.copytree(OF_TEXT, place / "text")
    for side, run in (("a", RECORDED[0]), ("b", RECORDED[-1])):  # two seeds of one configuration each
        shutil.copytree(place / "runs", place / side, ignore=lambda _, names, run=run: others(names, run))
    rng = np.random.default_rng(0)
    for number, image in enumerate(rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)):
        path = place / "images" / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(place / "image.png")
    Image.fromarray(np.repeat(np.uint8([[0], [255]]), 4, axis=0).repeat(8, axis=1)).save(place / "mask.png")
    np.savez(place / "samples.npz", samples=rng.integers(0, 256, (64, 8, 8), dtype=np.uint8))
    (place / "prompts.txt").write_text("a seven above a small three\na big zero\n")
    np.savez(place / "statistics.npz", mu=np.zeros(64), sigma=np.eye(64))
    return place


def others(names: list[str], run: Path) -> list[str]:
    """The names of runs of other models."""
    model = run.name.partition("-")[0]
    return [name for name in names if "-digits-seed" in name and not name.startswith(f"{model}-")]


def copy_run(run: Path, group: Path, seed: int) -> None:
    """Copy a recorded run below a folder of runs, as if another seed had made it."""
    copied = shutil.copytree(run, group / run.name.replace("seed0", f"seed{seed}"))
    weights = copied / "checkpoints"
    shutil.copy(weights / "last.pt", weights / "best.pt")  # as a run with trainer.keep=best has them
    for name in ("run.json", "result.json"):
        record = json.loads((copied / name).read_text())
        record["seed"] = record["config"]["seed"] = seed
        record["identity"] = f"{seed}{record['identity'][1:]}"
        (copied / name).write_text(json.dumps(record))


def runs_of(place: Path) -> list[Path]:
    """The runs of a folder with which a command may be tried, one of each model, and one of text."""
    return [*sorted((place / "runs" / "default").glob("*seed0*")), *(place / "text").iterdir()]


def values(place: Path, run: Path) -> dict[str, str]:
    """The placeholder -> what stands for it; DIR is a name that is not taken yet."""
    number = sum(1 for _ in place.glob("made*"))
    return {
        "RUN": os.path.relpath(run, place),
        "RUNS": "runs",
        "RUNS_A": "a",
        "RUNS_B": "b",
        "DIR": f"made{number}",
        "FOLDER": "images",
        "FILE.npz": "samples.npz",
        "STATS.npz": "statistics.npz",
        "PATH": "images",
        "IMAGE": "image.png",
        "MASK": "mask.png",
        "NAME": "mine",
        "USER/NAME": "somebody/something",
        "HOST:PORT": "localhost:29500",
    }


def of_plugin(word: str) -> str:
    """An override that chooses the reader's own option NAME, with one of the example plug-in."""
    return re.sub(
        r"^(\w+)=(\[?)NAME\b", lambda found: f"{found[1]}={found[2]}{OF_PLUGIN.get(found[1], 'NAME')}", word
    )
