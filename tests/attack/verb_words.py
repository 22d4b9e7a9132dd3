"""Strategies of command lines of verbs: options by typer, with values that fit, nearly fit, or are none."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import typer
from hypothesis import strategies as st
from PIL import Image

from genbench.cli.main import app
from tests.attack.verbs import FID, finished_run
from tests.attack.words import mutated, strange

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # ty: ignore[unresolved-attribute]
PLACES = (
    *(
        "runs",
        "runs/g",
        "runs/g/a",
        "runs/g/b",
        "model",
        "model",
        "plain",
        "other",
        "images",
        "images/00.png",
        "given.npz",
        "text.txt",
        "empty",
    ),
    *(
        "nothing",
        "nothing/below",
        "text.txt/below",
        ".",
        "",
        "new",
        "new.html",
        "new.csv",
        "new.xyz",
        "new/x.png",
    ),
)
EARLIER = Path(__file__).parents[1] / "earlier_runs"
FITTING = {
    "data": ("digits", "gaussians", "image_folder", "digit", "none", "tuned"),
    "metrics": ("standard", "none", "likelihood", "full", "auto", "full,none"),
    "features": ("digits", "classifier", "inception", "auto", "text.txt", "images/00.png"),
    "sampler": ("ddim", "heun", "ancestral", "none", "linear"),
    "samplers": ("ddim,heun", "ddim,,heun", "ddim,none", ","),
    "steps": ("5", "5,10", "5,x", "0", "-1", "1.5", "5;10"),
    "scales": ("0,1", "1,nan", "inf", "x"),
    "device": ("cpu", "auto", "cuda", "gpu", "cuda:9", "meta"),
    "by": ("model", "model,seed", "run", "fid", "none", "model,model", ",,", "status"),
    "sort": ("fid", "-fid", "model", "none", "--", "-", "fidd", FID),
    "columns": ("fid", "fid,kid", "recall", "model", "none", "bits/dim", "fid[,"),
    "settings": (
        "metrics.samples=8",
        "seed=1",
        "scores=[fid]",
        "model=gan",
        "a",
        "=",
        "sampler.steps=2",
        "x=[[[",
    ),
    "format": ("md", "csv", "json", "latex", "html", "pdf", "MD"),
    "project": ("p", "p/q"),
    "host": ("127.0.0.1", "nowhere.invalid", "::1", "a b"),
}
CONDITIONS = (
    *(
        "model=ddpm",
        "model=gan",
        "fid<3",
        "fid<x",
        "fid<nan",
        "seed!=0",
        "model",
        "=",
        "a[b=1",
        "run=*",
        "run=[",
        "<",
    ),
    *(
        "fid=n/a",
        "seed=0,1",
        "model==ddpm",
        "model=>1",
        "schedule!=linear",
        f"{FID}<9",
        "name=x",
        "seed=1e999",
    ),
)


@st.composite
def verb_lines(draw: st.DrawFn) -> list[str]:
    """The words of a command of genbench: a verb, places of `some_files` or none, and options of it."""
    verb = draw(st.sampled_from([*COMMANDS, *COMMANDS, "nothing"]))
    params = COMMANDS[verb].params if verb in COMMANDS else COMMANDS["report"].params
    words = [verb]
    for param in params:
        is_argument = param.param_type_name == "argument"
        if draw(st.integers(0, 19)) < (19 if is_argument or param.required else 4):
            words += draw(words_of(param))
    if draw(st.integers(0, 19)) == 0:
        words[draw(st.integers(0, len(words) - 1))] = draw(strange)
    if draw(st.integers(0, 19)) == 0:
        place = draw(st.integers(0, len(words) - 1))
        words[place] = draw(mutated(words[place]))
    return words


@st.composite
def words_of(draw: st.DrawFn, param: Any) -> list[str]:
    """An option with a value, or the value of an argument."""
    fitting = FITTING.get(param.name)
    if param.name in ("filters", "of_a", "of_b"):
        fitting = CONDITIONS
    elif fitting is None:
        numbers = ("1", "2", "0", "-1", "20", "100", "1.5")
        fitting = PLACES if "Path" in str(param.type_descriptor.annotation) else numbers
    is_argument = param.param_type_name == "argument"
    # A strange argument is refused before any option is looked at.
    is_strange = draw(st.integers(0, 19 if is_argument else 3)) == 0
    value = draw(strange if is_strange else st.sampled_from(fitting))
    if is_argument:
        return [value]
    return [param.opts[-1]] if getattr(param, "is_flag", False) else [param.opts[-1], value]


def some_files(folder: Path) -> None:
    """Write what the places name: runs with and without a model, images, arrays, a text, an empty folder."""
    finished_run(folder / "runs" / "g" / "a", 0)
    finished_run(folder / "runs" / "g" / "b", 1)
    finished_run(folder / "runs" / "h" / "a", 0, choices={"model": "gan", "data": "digits"}, identity="c")
    finished_run(folder / "other" / "a", 0, choices={"model": "gan", "data": "mnist"}, identity="d")
    shutil.copytree(EARLIER / "ddpm-digits-seed0-5a97580b", folder / "model")
    shutil.copytree(EARLIER / "gan-digits-seed0-1a1c806a", folder / "plain")
    (folder / "images").mkdir()
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("text")
    for number in range(3):
        Image.new("L", (8, 8), 9 * number).save(folder / "images" / f"{number:02}.png")
    np.savez(folder / "given.npz", samples=np.zeros((3, 8, 8), np.uint8))
