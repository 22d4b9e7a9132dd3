"""Options that do not belong together: which of them, and what there is to choose from instead."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    OmegaConfBaseException,
)

from genbench.app.search_path import composing
from genbench.app.words import parse_override
from genbench.config import schema
from genbench.config.groups import accepted_groups, groups, groups_of, option_file, options
from genbench.config.option_folders import read_option

__all__ = ["composed", "fitting", "is_of_misfit", "misfit"]

OF_ALL = (
    *("model", "data", "experiment", "sweep", "metrics", "scores", "features", "more_features", "tracker"),
    "precision",
)
"""Groups whose options fit every model, or which the others are measured against."""
FACTS = {"shape": [1, 8, 8], "num_classes": 0}
"""Facts of some data, since options are compared before the data are there."""


def is_of_misfit(error: BaseException) -> bool:
    """Return True for an error that an option of another model can cause: a reference to what is not there,
    an argument that a class does not take, or a part of another kind.
    """
    if isinstance(error, InstantiationException):
        return not isinstance(error.__cause__, ValueError | OSError)
    if isinstance(error, InterpolationToMissingValueError):  # the value alone is missing, and no model has it
        return False
    return isinstance(error, InterpolationKeyError | InterpolationResolutionError | schema.UnfitError)


def misfit(words: Sequence[str]) -> str | None:
    """Return the message that an option among overrides does not fit the others, with those that do.
    None where each fits, or where none of its group would fit. words: those of one run.
    """
    for group, option in reversed(list(chosen(words))):
        others = [word for word in words if re.split(r"[.=]", word.lstrip("+~"))[0] != group]
        tree = composed(others)
        fitting = [name for name in options(group) if group in tree and fits(tree, group, name, others)]
        # What is wrong with an option of --config-dir, its own error says.
        if fitting and option in options(group) and option not in fitting:
            who, _ = accepted_groups(others)
            return f"{group}={option} does not fit {who}: choose from {', '.join(fitting)}"
    return None


def fitting(choice: str, group: str) -> list[str]:
    """Return the options of a group that fit a model, of a choice such as model=gan; all where none fits."""
    tree = composed([choice])
    return [name for name in options(group) if fits(tree, group, name, [choice])] or options(group)


def chosen(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the choices among overrides, as group and option, that may fit one model and not another."""
    for word in words:
        override = parse_override(word)
        group = "" if override is None else override.key_or_group
        if override is not None and group in groups() and group not in OF_ALL:
            yield group, str(override.value())


def fits(tree: Mapping[str, Any], group: str, option: str, words: Sequence[str]) -> bool:
    """Return True where an option can take the place of the one that a configuration has.
    tree: the unresolved configuration, composed of `words`, which choose nothing of the group.
    """
    if groups_of(group, option, {}):  # it brings others with it, of which Hydra alone knows the order
        tree = composed([*words, f"{group}={option}"])
    else:
        tree = {**tree, group: content(group, option)}
    try:
        cfg = OmegaConf.create({**tree, "image": FACTS})
        resolved: Any = OmegaConf.to_container(cfg, resolve=True)
        schema.check_root(resolved, tree)
        for key in (group, "model"):
            schema.check(resolved[key], key)
    except (OmegaConfBaseException, ValueError, KeyError):
        return False
    return True


def content(group: str, option: str) -> dict[str, Any]:
    """Return what the file of an option holds, on top of the options of its group that it is made of."""
    path = option_file(group, option)
    assert path is not None
    node = read_option(path)
    below = [name for name in node.pop("defaults", []) if isinstance(name, str) and name[0] not in "/_"]
    return {key: value for name in below for key, value in content(group, name).items()} | node


def composed(words: Sequence[str]) -> dict[str, Any]:
    """Return the unresolved configuration of overrides, without Hydra's part; empty where Hydra refuses them.
    Within a command of main.py, options of its --config-dir are found too.
    """
    try:
        within = GlobalHydra.instance().is_initialized()
        with nullcontext() if within else composing():
            tree: Any = OmegaConf.to_container(compose("config", overrides=list(words)))
    except (HydraException, OmegaConfBaseException):
        return {}
    return tree
