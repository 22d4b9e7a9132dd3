"""Directories of many finished runs, copied from a single short training, for timing what handles many."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from hydra import compose

from benchmarks.commands import run_in
from genbench.app import identity
from genbench.app.composing_memory import same_choices
from genbench.app.in_process import composed
from genbench.app.run_names import run_dir
from genbench.app.search_path import composing

__all__ = ["SHORT", "copied_runs"]

SHORT = ("model=gan", "budget.images=64", "trainer.sample_every_images=null", "metrics.samples=64")
"""Overrides of a run of seconds."""
FILES = ("result.json", "run.json", "metrics.jsonl", ".hydra/overrides.yaml")


def copied_runs(folder: Path, seeds: Sequence[int], rates: Sequence[float], *, threads: int) -> None:
    """Train one short run below a folder, and copy its records for each seed and learning rate, under the
    directory and the identity that a run of these settings has.
    """
    run_in(folder, [*SHORT, f"seed={seeds[0]}", f"optim.lr={rates[0]}"], threads=threads)
    first = next(path.parent for path in folder.rglob("result.json"))
    contents = {name: (first / name).read_text() for name in FILES}
    known = json.loads(contents["run.json"])["identity"]
    with composing(), same_choices():
        for seed in seeds:
            for rate in rates:
                words = [*SHORT, f"seed={seed}", f"optim.lr={rate}", f"runs_dir={folder}"]
                cfg = compose("config", overrides=words, return_hydra_config=True)
                with composed(cfg):
                    own = identity(cfg)
                    path = run_dir(cfg, own)
                for name, content in contents.items():
                    write(path / name, with_settings(content, known, own, seed=seed, rate=rate))
    shutil.rmtree(first / "checkpoints", ignore_errors=True)


def with_settings(content: str, known: str, own: str, *, seed: int, rate: float) -> str:
    """Return the content of a record with another identity, and with a seed and a learning rate in JSON."""
    text = content.replace(known, own)
    if not text.startswith("{"):
        return text
    try:
        record = json.loads(text)
    except ValueError:  # JSON lines, which hold neither
        return text
    record["seed"] = seed
    record["config"]["seed"], record["config"]["optim"]["lr"] = seed, rate
    return json.dumps(record)


def write(path: Path, content: str) -> None:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
