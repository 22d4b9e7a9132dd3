"""Short texts by which readers know a run: the name of its images, what its samples are conditioned on."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

__all__ = [
    "UNCONDITIONAL",
    "conditioning",
    "data_name",
    "folder_title",
    "run_title",
    "shared_conditioning",
]

UNCONDITIONAL = "unconditional"
NO_TEXT = "no_text"  # the target of text=none


def folder_title(folder: str, size: object) -> str:
    """Return the name of a folder of images at a size in pixels: cats, 32 -> cats_32px.

    folder: its name without the path to it; letters, digits and _ stay, all else becomes _.
    """
    stem = re.sub(r"\W+", "_", folder).strip("_")
    return f"{stem or 'folder'}_{size}px"


def data_name(choices: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Return the name of a run's images, as `ImageSource.name` has it: digits, digits_binary, cats_32px.

    choices: option of each group; config: resolved, as a result records them. None where no data are named.
    """
    data, option = config.get("data"), choices.get("data")
    if not isinstance(data, dict):
        return option if isinstance(option, str) else None
    if str(data.get("_target_")).endswith(".ImageFolder") and isinstance(data.get("root"), str):
        return folder_title(PurePath(data["root"]).name, data.get("size"))
    if str(data.get("_target_")).endswith(".HuggingFace") and isinstance(data.get("name"), str):
        return folder_title(PurePath(data["name"]).name, data.get("size"))
    if not isinstance(option, str):
        return None
    return f"{option}_binary" if data.get("binarize") is True else option


def conditioning(choices: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Return in words what the samples of a run are conditioned on, with the scale of its guidance.

    "unconditional", "conditional" (on labels), "guided (classifier_free 2)", "text prompts (guidance 7.5)",
    "text prompts (small)" of a text encoder, "guided text prompts (small, classifier_free 2)"; of mean flows,
    which learn guidance, "guided (process.scale 2)".
    choices, config: as `data_name` takes them. None where a record, of an early version say, does not tell.
    """
    is_conditional = str(choices.get("conditional", config.get("conditional"))).lower()
    model, guidance = (as_section(config, name) for name in ("model", "guidance"))
    kind = str(guidance.get("_target_", "none")).rpartition(".")[2]
    option = choices.get("guidance", "none" if kind in ("none", "Unguided") else spelt(kind))
    encoder = text_encoder(choices, config)
    if option != "none":
        how = f"{option} {figure(guidance.get('scale'))}".rstrip()
        return f"guided text prompts ({encoder}, {how})" if encoder else f"guided ({how})"
    within = figure(as_section(config, "process").get("scale"))  # of mean flows, which are learned guided
    if within not in ("", "1"):
        how = f"process.scale {within}"
        return f"guided text prompts ({encoder}, {how})" if encoder else f"guided ({how})"
    if encoder:
        return f"text prompts ({encoder})"
    words = {"true": "conditional", "false": UNCONDITIONAL}.get(is_conditional)
    if "prompts" in model:  # a pipeline that was trained elsewhere, which may guide its samples unasked
        is_prompted = as_section(config, "image").get("prompted") is True  # by the captions of the data
        words = "text prompts" if is_prompted or model["prompts"] is not None else words
        scale = figure(model.get("guidance"))
        how = f"guidance {scale}" if scale else "the pipeline's own guidance"
        return words if words in (None, UNCONDITIONAL) else f"{words} ({how})"
    return words


def text_encoder(choices: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return the option of the text encoder of a run, such as small; "" where its model takes no text.

    choices, config: as `data_name` takes them.
    """
    kind = str(as_section(config, "text").get("_target_", NO_TEXT)).rpartition(".")[2]
    option = choices.get("text", "none" if kind == NO_TEXT else spelt(kind))
    return "" if option == "none" else str(option)


def run_title(model: str, data: str, given: str | None) -> str:
    """Return the title of a run: ddpm on digits, and of one that is not unconditional what its samples are
    conditioned on: ddpm on digits, guided (classifier_free 2). given: see `conditioning`.
    """
    return f"{model} on {data}{'' if given in (None, UNCONDITIONAL) else f', {given}'}"


def shared_conditioning(several: set[str | None]) -> str:
    """Return what the samples of all of some runs are conditioned on, for a title; "" where some are not.

    several: the texts of the runs, see `conditioning`. Of different scales "guided" remains, of guided and
    other conditional runs "conditional".
    """
    words = {None if text is None else text.partition(" (")[0] for text in several}
    if not several or words & {None, UNCONDITIONAL}:
        return ""
    return str(next(iter(several if len(several) == 1 else words))) if len(words) == 1 else "conditional"


def spelt(name: str) -> str:
    """Return the name of a class as options are written: ClassifierFree -> classifier_free."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def as_section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one object of a configuration, an empty one where a damaged record has another thing there."""
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def figure(value: object) -> str:
    """Return a number as a reader writes it, 2.0 as 2; an empty text for all else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.10g}" if is_number else ""
