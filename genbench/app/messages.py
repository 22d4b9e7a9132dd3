"""Messages of refusals: the error in words that help, without the interpreter's and Hydra's context."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from difflib import get_close_matches

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, InterpolationResolutionError, OmegaConfBaseException

from genbench.app.held_overrides import waits
from genbench.config.groups import CONF, axes_asked_for
from genbench.runtime.disk import explain

__all__ = ["message", "why"]

LACKING = re.compile(r"Could not override '(?P<axis>\w+)'\.\s+No match in the defaults list")
UNKNOWN = re.compile(r"Could not override '(?P<key>[\w.]+)'\.$", re.MULTILINE)
PLUGIN = re.compile(r"Could not find 'hydra/(launcher|sweeper)/")
UNSCORED = re.compile(r"Could not override '(?P<key>metrics\.(samples|batch_size))'")
OPTION = re.compile(r"Could not find '(?P<group>\w+)/(?P<option>[^'/]+)'")
DIRECTORIES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
RESOLVING = " raised while resolving interpolation: "  # stands before the words of naming.run_dir
CLOSE = 0.75
"""Least similarity of two names, of 1 at most (difflib), for one to be taken as the other misspelt."""
HINT = "`python main.py --help` lists the groups and their options, `--cfg job` all keys and their values"


def message(error: BaseException) -> str:
    """Return the message of an error of this command, with where to read on."""
    told = why(error, sys.argv[1:])
    return f"{told}\n{HINT}" if isinstance(error, HydraException) and inner(error) is None else told


def why(error: BaseException, words: Sequence[str]) -> str:
    """Return the message of an error that came of these overrides; where Hydra wraps one of ours, ours."""
    if (own := inner(error)) is not None:
        return own
    if isinstance(error, OSError) and not isinstance(error, HydraException):  # of a missing option it is both
        return explain(error)
    lines = str(error).partition("Config search path:")[0].strip().splitlines()
    if isinstance(error, InterpolationKeyError):
        return f"{lines[0]} (in {error.full_key}): an option that was chosen belongs to another model"
    if isinstance(error, InterpolationResolutionError) and error.full_key in DIRECTORIES:
        return lines[0].partition(RESOLVING)[2] or lines[0]
    # Hydra's advice to append an unknown key with a plus leads into the next refusal.
    text = "\n".join(line for line in lines if not line.startswith("To append to your"))
    return explained(text, words) if isinstance(error, HydraException) else text


def inner(error: BaseException) -> str | None:
    """The message of an error of ours that Hydra wrapped."""
    cause = error.__cause__ if isinstance(error, InstantiationException) else None
    return str(cause) if isinstance(cause, ValueError | TypeError | OSError) else None


def explained(text: str, words: Sequence[str]) -> str:
    """Hydra's message in the user's terms, with what to do, where it is one of the usual ones."""
    if lacking := LACKING.search(text):
        axis = lacking["axis"]
        known = (CONF / axis).is_dir()
        return f"{axis} is no axis of {axes_asked_for(words)}" if known else unknown(axis, words)
    if unscored := UNSCORED.search(text):
        return f"{unscored['key']} is of samples, and metrics=none and =likelihood score none: leave it out"
    if found := UNKNOWN.search(text):
        return unknown(found["key"], words)
    if PLUGIN.search(text):
        return (
            f"{text}\nLaunchers and Optuna come with "
            'pip install -e ".[sweep]" -c constraints.txt, Ray with ".[ray]"'
        )
    if missing := OPTION.search(text):
        return no_option(missing["group"], missing["option"])
    return text


def unknown(key: str, words: Sequence[str]) -> str:
    """That there is no such key, its neighbours, and what is near it, as a whole or by the last name."""
    there = without(key, words)
    last = {path: path.rpartition(".")[2] for path in paths(there)}
    named = get_close_matches(key.rpartition(".")[2], set(last.values()), n=1, cutoff=CLOSE)
    near = [*get_close_matches(key, last, n=2, cutoff=CLOSE), *(path for path in last if last[path] in named)]
    told = [f"there is no key {key}"]
    if near:
        told.append(f"near: {', '.join(list(dict.fromkeys(near))[:4])}")
    above = key.rpartition(".")[0]
    around = OmegaConf.select(there, above, throw_on_resolution_failure=False) if above else None
    if isinstance(around, DictConfig):
        told.append(f"{above} has {', '.join(str(one) for one in around if one != '_target_')}")
    return "; ".join(told)


def no_option(group: str, option: str) -> str:
    """That a group has no such option, which it has, and which of them is near."""
    legal = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    near = get_close_matches(option, legal, n=1)
    told = f"there is no {group}={option}; legal are {', '.join(legal)}"
    return f"{told}. Is it {near[0]}?" if near else told


def without(key: str, words: Sequence[str]) -> DictConfig:
    """The configuration of the words but one, and but those that vary; empty where there is none."""
    usable = [word for word in words if waits(word) and word.lstrip("+").partition("=")[0] != key]
    try:
        within_sweep = GlobalHydra.instance().is_initialized()
        with nullcontext() if within_sweep else initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", overrides=usable)
    except (HydraException, OmegaConfBaseException):
        return OmegaConf.create()


def paths(node: DictConfig, above: str = "") -> Iterator[str]:
    """The dotted names of all keys that can be set."""
    for key in node:
        if key == "_target_":
            continue
        yield f"{above}{key}"
        if not OmegaConf.is_interpolation(node, key) and isinstance(node[key], DictConfig):
            yield from paths(node[key], f"{above}{key}.")
