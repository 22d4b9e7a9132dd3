"""The groups and options in all folders of options, and which groups an option accepts, as files say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from genbench.config.option_folders import option_folders, read_option

__all__ = [
    "accepted_groups",
    "bringing",
    "defaults",
    "groups",
    "groups_of",
    "is_group",
    "option_file",
    "options",
    "settings_of",
]

HIDDEN = ("hydra", "tuned")  # folders of conf/ that nobody chooses from


def groups() -> list[str]:
    """Return the names of the groups that can be chosen from on a command line, in alphabetical order.
    They are the folders in conf/, also of plug-ins, without those that no command chooses from.
    """
    found = {path.name for folder in option_folders() for path in folder.iterdir() if path.is_dir()}
    return sorted(found - {*HIDDEN, "__pycache__"})


def options(group: str) -> list[str]:
    """Return the names of a group's options, in alphabetical order; none where there is no such group.
    They are its YAML files: conf/schedule/cosine.yaml is schedule=cosine.
    """
    return sorted({path.stem for folder in option_folders() for path in (folder / group).glob("*.yaml")})


def is_group(name: str) -> bool:
    """Return True for a folder of options, also one that no command chooses from, such as hydra/launcher."""
    return any((folder / name).is_dir() for folder in option_folders())


def option_file(group: str, option: str) -> Path | None:
    """Return the file of an option, the one that Hydra composes; None where there is no such option."""
    paths = (folder / group / f"{option}.yaml" for folder in option_folders())
    return next((path for path in paths if path.is_file()), None)


def accepted_groups(overrides: Sequence[str]) -> tuple[str, list[str]]:
    """Return the choices among overrides that decide which groups are accepted, as text, and these groups.
    The first choice is that of the model, by default model=ddpm; options that pull in groups of their own,
    such as prior=flow_matching, and a choice of metrics follow.
    """
    asked = dict(word.split("=", 1) for word in overrides if re.match(r"\w+=", word))
    name = asked.get("model", "ddpm")
    found = groups_of("model", name, asked)
    # What pulls in groups of its own is named too, since another option would pull in others.
    chosen = [f"{key}={asked[key]}" for key in found if key in asked and groups_of(key, asked[key], asked)]
    if "metrics" in asked:
        chosen.append(f"metrics={asked['metrics']}")
        found = [*found, *groups_of("metrics", asked["metrics"], asked)]
    return " ".join([f"model={name}", *chosen]), found


def groups_of(group: str, option: str, asked: Mapping[str, str]) -> list[str]:
    """Return the groups that an option pulls in, and those that their chosen options pull in.
    asked: the options that are chosen in other groups; the default is taken in the rest. Nothing is found
    where the option does not exist, such as the several values of a sweep.
    """
    found = []
    for key, default in defaults(group, option).items():
        # Overrides are of a group that is there; what is below /tuned nobody chooses.
        if not key.startswith(("override", "/tuned/")):
            name = key.partition("@")[0][1:]
            found += [name, *groups_of(name, asked.get(name, default), asked)]
    return found


def bringing(group: str, among: Sequence[str]) -> list[str]:
    """Return the choices of some groups that pull in another group: autoencoder=kl_gan for perceptual.
    among: the groups whose options are looked through, such as those that a model accepts.
    """
    return [
        f"{name}={option}"
        for name in dict.fromkeys(among)
        for option in options(name)
        if group in groups_of(name, option, {})
    ]


def settings_of(group: str, option: str) -> list[str]:
    """Return the names of the settings that an option's own file gives, without those of options that it is
    made of; none where there is no such option.
    """
    path = option_file(group, option)
    found = {} if path is None else read_option(path)
    return [key for key in found if key not in ("defaults", "_target_")]


def defaults(group: str, option: str) -> dict[str, str]:
    """Return the groups that an option pulls in or overrides, as its file writes them, with their options.
    {"/schedule@_global_.schedule": "cosine", "override /hydra/sweeper": "optuna"}; plain names, which are
    options of the same group, are left out. Nothing is found where there is no such option.
    """
    path = option_file(group, option)
    entries = [] if path is None else read_option(path).get("defaults", [])
    return {key: value for entry in entries if isinstance(entry, dict) for key, value in entry.items()}
