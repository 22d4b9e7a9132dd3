"""Options of the verbs that draw from a trained model, and their values as these take them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

__all__ = [
    "Label",
    "Measured",
    "Model",
    "PromptFile",
    "PromptText",
    "Sampler",
    "Seed",
    "Settings",
    "Steps",
    "given_prompts",
    "listed",
    "sampling_settings",
    "setting",
]

T = TypeVar("T", bound=str | float)
KINDS: dict[Callable[[str], str | float], str] = {str: "names", int: "whole numbers", float: "numbers"}

Model = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Directory of a run, a folder of `genbench export`, or hf:USER/NAME[@REVISION]."
    ),
]
"""The trained model that a verb draws from."""
Label = Annotated[
    int | None,
    typer.Option(
        metavar="CLASS",
        help="Class of all images of a conditional model, from 0. Default: all classes in turn.",
    ),
]
PromptText = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help='Text of the images, of a model of text. May be repeated; "" is no text.',
    ),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Text file in UTF-8 with a prompt on each line, beside --prompt."),
]
Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of sampling steps: sets sampler.steps, or the key that the model has instead, such as "
        "solver.steps. Default: the run's own.",
    ),
]
Sampler = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Sampler, an option of conf/sampler with its own settings, of a masked model one of "
        "conf/unmasking. Default: the run's own.",
    ),
]
Measured = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another setting of data and metrics, such as 'scores=[fid,kid]'; repeatable.",
    ),
]
"""Settings of the scores that a verb computes of several variants of one run."""
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting of the sampling: sampler.*, solver.*, unmasking.*, process.steps, "
        "guidance.scale, guidance.interval, variance.samples, model.temperature, dequantization.denoise, as "
        "the model has them. "
        "May be repeated.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Random seed.")]


def given_prompts(prompt: list[str] | None, file: Path | None) -> list[str]:
    """Return the prompts of --prompt, then those of the file of --prompts, each in one line. Raises as
    `read_prompts` does.
    """
    from genbench.records.texts import cleaned_prompt, read_prompts

    typed = [cleaned_prompt(text, "--prompt") for text in prompt or []]
    return [*typed, *([] if file is None else read_prompts(file))]


def sampling_settings(
    sampler: str | None, steps: int | None, settings: list[str] | None
) -> dict[str, object]:
    """Return the settings of the sampling that --sampler, --steps and --set change. Raises ValueError where
    two of them change the same one.
    """
    asked = {"sampler": sampler, "steps": steps}
    found: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    for key, value in map(setting, settings or []):
        if key in found:
            raise ValueError(f"{key} is given twice, as {found[key]} and as {value}: give it once")
        found[key] = value
    return found


def setting(text: str) -> tuple[str, object]:
    """Return KEY=VALUE as a key and a value: a number, list, true, false or null as in JSON, or else text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"--set is {text!r}; it must be KEY=VALUE, such as sampler.steps=20")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value  # a word such as ddim, which JSON would have in quotes


def listed(text: str, kind: Callable[[str], T], option: str) -> list[T]:
    """Return the parts of a comma-separated list, none of an empty text; option: its name, for messages.
    Raises ValueError where a part is not of its kind, is missing, or stands there twice.
    """
    message = f"{option} is {text!r}; it must be {KINDS[kind]} separated by commas, each of them once"
    parts = [part.strip() for part in text.split(",")] if text else []
    try:
        found = [kind(part) for part in parts]
    except ValueError as error:
        raise ValueError(message) from error
    if "" in parts or len({*found}) < len(found):
        raise ValueError(message)
    return found
