"""Stand-ins for the placeholders of pages: tiny runs, images and files, in a folder of their own."""

import json
import os
import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from genbench.app.build import build
from genbench.app.load_run import load
from genbench.records.run_directory import Run
from genbench.training.checkpoint import CheckpointStore
from genbench.training.snapshots import Snapshots
from tests.documents.pages import ROOT

RECORDED = sorted((ROOT / "tests" / "earlier_runs").iterdir())
"""Runs of seconds, with weights: a guided conditional DDPM, a flow, a GAN and a VAE, on digits."""
OF_TEXT = (
    *("data=captioned", "text=small", "text.width=8", "text.heads=2", "network.width=8", "network.blocks=1"),
    *("guidance=classifier_free", "sampler.steps=2", "metrics=none", "device=cpu"),
)
"""Overrides of a run of text, of which pages draw."""
OF_PLUGIN = {"model": "pixels", "data": "stripes", "schedule": "square", "scores": "greyness"}
"""The option of the example plug-in for each group; it stands for NAME, the reader's own."""


def folder(place: Path) -> Path:
    """Fill an empty folder with runs, two seeds of four models, with images and with arrays."""
    for run in RECORDED:
        for seed in (0, 1):
            copy_run(run, place / "runs" / "default", seed)
    add_snapshot(place / "runs" / "default" / RECORDED[0].name)
    text_run(place / "text" / "ddpm-captioned-seed0")
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


def text_run(path: Path) -> None:
    """Leave what drawing needs of a run conditional on text, with the weights that it begins with."""
    run = Run(path)
    run.path.mkdir(parents=True)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=list(OF_TEXT))
    model = build(cfg, silent=True).model
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    run.begin("identity", config, "cpu", 0)
    weights = model.state_dict()
    CheckpointStore(run.checkpoints).save({"ema": weights, "model": weights, "images_seen": 64})


def add_snapshot(run: Path) -> None:
    """Leave a snapshot of a run's averages, as if it had been trained with trainer.ema_snapshots=1."""
    snapshots = Snapshots(load(run, device="cpu"), 1, run / "checkpoints")
    snapshots.step(64, 1.0, finished=True, pause=nullcontext)


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
    """The runs of a folder with which a command may be tried, one of each model, that of text at the end."""
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
