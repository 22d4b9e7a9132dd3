"""The same command twice: the same record, log, weights and pictures, bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from tests.test_contract import MODELS, VARIANTS

TIMES = (
    "time",
    "training_seconds",
    "fitting_seconds",
    "images_per_second",
    "seconds_per_image",
    "evaluation_seconds",
)
MAY_DIFFER = {*TIMES, "peak_memory_bytes", "runs_dir"}
"""Keys of result.json and metrics.jsonl that two runs of one command need not share."""

FEW = (
    "budget.images=64",
    "trainer.batch_size=16",
    "metrics.samples=20",
    "metrics.likelihood_samples=8",
    "tracker=jsonl",
    "device=cpu",
)
SMALL: dict[str, tuple[str, ...]] = {
    "model=autoencoder": ("network.encoder.width=8", "network.decoder.width=8"),
    "model=autoregressive": ("network.width=8", "network.blocks=1"),
    "model=cascade": ("network.width=8", "base_model.network.width=8", "sampler.steps=3"),
    "model=consistency": ("network.width=8",),
    "model=ddpm": ("network.width=8", "sampler.steps=3"),
    "model=flow": ("network.width=8", "flow.steps=2"),
    "model=flow_matching": ("network.width=8", "solver.steps=2", "model.process.density_steps=2"),
    "model=gan": ("network.generator.width=8", "network.discriminator.width=8"),
    "model=latent_diffusion": ("network.width=8", "sampler.steps=3"),
    "model=masked_diffusion": ("network.width=8", "network.blocks=1", "unmasking.steps=4"),
    "model=tarflow": ("network.width=8", "network.blocks=1", "flow.layers=2"),
    "model=unclip": ("network.width=8", "vector_network.width=16", "solver.steps=2", "sampler.steps=3"),
    "model=vae": ("network.encoder.width=8", "network.decoder.width=8"),
    "model=vqvae": ("prior_network.width=8", "prior_network.blocks=1"),
}
"""Settings that make a model cheap; one that is not here runs as it is."""

WITHOUT_TORCHMETRICS = (
    "scores=[fid,precision_recall]"  # loading it takes longer than a run; FULL has is and kid
)


def small(model: str) -> tuple[str, ...]:
    return f"model={model}", *SMALL.get(f"model={model}", ()), WITHOUT_TORCHMETRICS


EACH = [small(model) for model in MODELS]
QUICK = [small(model) for model in ("ddpm", "gan")]
BEST = ("data.validation=0.1", "trainer.keep=best", "trainer.validate_every_images=16")
FULL = ("model=gan", *SMALL["model=gan"], "conditional=true", "metrics=full")
OTHERS = [
    FULL,
    *VARIANTS,
    ("model=ddpm", "precision=bf16"),
    (*small("cascade"), "precision=bf16"),
    (*small("ddpm"), "process=variance_exploding", "density.steps=2", "precision=bf16"),
    *((*small("vae"), *BEST, f"precision={name}") for name in ("fp32", "bf16")),
    ("model=ddpm", "trainer.accumulate=4", "data=gaussians", "budget.images=128"),
    ("model=flow_matching", "pairing=optimal_transport"),
    (
        *("model=ddpm", "text=small", "guidance=classifier_free", "data=captioned", "data.train=200"),
        *("data.test=40", "network=unet_folded", "network.width=8", "sampler.steps=2", "metrics=captions"),
    ),
    ("model=vae", "metrics=classifier", "features.images=640"),
    ("model=vae", "conditional=true", "metrics=full", "metrics.samples=320"),
]

DRIVER = """
import json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv = ["main.py", *words]
    runpy.run_path("main.py", run_name="__main__")
"""
"""`python main.py WORDS`, several of them in one process: to start one takes longer than such a run."""


def fixed(command: tuple[str, ...]) -> tuple[str, ...]:
    """A command without a choice that the clock makes."""
    named = any(word.startswith("precision=") for word in command)
    return command if named else (*command, "precision=fp32")


def twice(folder: Path, several: list[tuple[str, ...]], *, threads: tuple[int, int]) -> list[Path]:
    """Two processes run the same commands, the second in reverse order; neither has anything cached.

    Returns their folders of runs.
    """
    processes = []
    for number, order in enumerate((several, several[::-1])):
        environment = os.environ | {
            "GENBENCH_CACHE": str(folder / f"cache{number}"),
            "OMP_NUM_THREADS": str(threads[number]),
            "PYTHONHASHSEED": str(number),  # sets in another order
        }
        words = [[*FEW, *fixed(command), f"runs_dir={folder}/runs{number}"] for command in order]
        with (folder / f"log{number}").open("w") as log:
            command = [sys.executable, "-c", DRIVER, json.dumps(words)]
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
    codes = [process.wait(timeout=3600) for process in processes]
    assert codes == [0, 0], "".join((folder / f"log{number}").read_text() for number in (0, 1))
    return [folder / "runs0", folder / "runs1"]


def leaves(tree: Any) -> dict[str, Any]:
    """All values in nested dictionaries and lists, by their place; without those that may differ."""
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        return {"": tree}
    inner = ((key, leaves(below)) for key, below in tree.items() if key not in MAY_DIFFER)
    return {f"/{key}{name}": value for key, below in inner for name, value in below.items()}


def record(run: Path) -> dict[str, Any]:
    """Return what result.json and metrics.jsonl hold, and the files of the pictures."""
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    pictures = {path.name: path.read_bytes() for path in (run / "samples").iterdir()}
    return leaves({"result": json.loads((run / "result.json").read_text()), "log": log, "pictures": pictures})


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All tensors of the last checkpoint, and of the best: weights, averages, the optimizers' states."""
    last, best = (run / "checkpoints" / name for name in ("last.pt", "best.pt"))
    found = leaves(torch.load(last, weights_only=True))
    if best.exists():
        found |= leaves({"best": torch.load(best, weights_only=True)})
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def pairs(folders: list[Path], count: int) -> list[tuple[Path, Path]]:
    """The runs of both folders, side by side."""
    runs = sorted(path.parent.relative_to(folders[0]) for path in folders[0].rglob("result.json"))
    assert len(runs) == count
    return [(folders[0] / run, folders[1] / run) for run in runs]


def assert_repeated(one: Path, two: Path) -> None:
    first, second = record(one), record(two)
    assert first.keys() == second.keys()
    assert any(name.endswith(".png") for name in first)
    assert [name for name in first if first[name] != second[name]] == [], one.name
    mine, theirs = weights(one), weights(two)
    assert mine.keys() == theirs.keys()
    assert any(name.startswith("/ema/") for name in mine)
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == [], one.name


def test_the_same_command_gives_the_same_record_weights_and_pictures(tmp_path: Path) -> None:
    for one, two in pairs(twice(tmp_path, QUICK, threads=(1, 1)), len(QUICK)):
        assert_repeated(one, two)


@pytest.mark.slow
def test_so_do_the_other_models(tmp_path: Path) -> None:
    others = [command for command in EACH if command not in QUICK]
    for one, two in pairs(twice(tmp_path, others, threads=(1, 1)), len(others)):
        assert_repeated(one, two)


@pytest.mark.slow
def test_so_do_the_variants_of_the_models(tmp_path: Path) -> None:
    for one, two in pairs(twice(tmp_path, OTHERS, threads=(1, 1)), len(OTHERS)):
        assert_repeated(one, two)


@pytest.mark.slow
def test_so_do_two_threads(tmp_path: Path) -> None:
    for one, two in pairs(twice(tmp_path, EACH, threads=(2, 2)), len(EACH)):
        assert_repeated(one, two)


@pytest.mark.slow
def test_one_thread_and_two_differ_by_rounding_alone(tmp_path: Path) -> None:
    for one, two in pairs(twice(tmp_path, EACH, threads=(1, 2)), len(EACH)):
        mine, theirs = weights(one), weights(two)
        for name in (name for name in mine if name.startswith("/ema/")):
            # float32 sums in another order, over four steps: at most 6e-8 where it was measured, and 2e-6 of
            # a tensor's norm (of tensors that begin near 0)
            torch.testing.assert_close(mine[name], theirs[name], rtol=1e-4, atol=1e-5, msg=f"{one} {name}")
