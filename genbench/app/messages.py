"""Error messages: what is wrong in the user's words, what to choose from, and the exit code."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from typing import Any, NoReturn

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from genbench.app.command import parse_override
from genbench.app.search_path import composing
from genbench.config.groups import accepted_groups, is_group, options
from genbench.config.option_folders import TRAIN
from genbench.errors import Failure, Unmeasured, UsageError
from genbench.records.flatten import flatten
from genbench.runtime.disk import explain, is_machine_fault
from genbench.runtime.printable import complain

__all__ = ["EXIT_FAILED", "EXIT_STOPPED", "EXIT_USAGE", "explain_error", "leave", "refusing"]

EXIT_FAILED, EXIT_USAGE, EXIT_UNMEASURED, EXIT_STOPPED = 1, 2, 3, 130

UNKNOWN = re.compile(r"Could not override '(?P<key>[^']+)'")
"""Hydra's message on an override of a key, or of a group, that the configuration lacks.

The exception holds the key in its text alone. tests/app/test_messages.py provokes it in the installed Hydra.
"""
OF_SAMPLES = ("metrics.samples", "metrics.batch_size")
"""Settings that metrics=none and metrics=likelihood lack, since they draw no samples."""
CLOSE = 0.75  # least similarity (difflib, 1 at most) of a name and the one that it may be misspelt of
HINT = f"`{TRAIN} --help` lists the groups and their options, `--cfg job` all keys and their values"


def leave(error: Exception, words: Sequence[str] = ()) -> NoReturn:
    """Print the message of an error that ends a command, and exit with the code that belongs to it.
    words: the overrides of the command, by which a misspelt one is explained. The user's faults exit with 2,
    failures of a run or of the machine with 1, a run that is trained but could not be evaluated with 3.
    """
    text = explain_error(error, words)
    complain(f"{text}\n{HINT}" if isinstance(error, HydraException) else text)
    if isinstance(error, Unmeasured):
        sys.exit(EXIT_UNMEASURED)
    is_machines = isinstance(error, OSError) and is_machine_fault(error)
    sys.exit(EXIT_FAILED if is_machines or isinstance(error, Failure | FloatingPointError) else EXIT_USAGE)


@contextmanager
def refusing() -> Iterator[None]:
    """Raise UsageError, explained by `explain_error`, where paths or values in the block cannot be used."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, OSError) as error:
        raise UsageError(explain_error(error)) from error


def explain_error(error: BaseException, words: Sequence[str] = ()) -> str:
    """Return the message of an error: what is wrong, what to choose from, without the interpreter's context.
    words: the overrides that Hydra composed when it raised the error. Where Hydra or OmegaConf wrap an error
    of genbench, the message is that error's.
    """
    if (own := wrapped_error(error)) is not None:
        return str(own)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return missing_option(error.missing_cfg_file, error.options or ())
    if isinstance(error, OverrideParseException):
        reason = error.message.splitlines()[1:2]  # between what was read and where to read on
        return f"{error.override!r} cannot be read as KEY=VALUE: {', '.join(reason)}"
    if isinstance(error, OSError):
        return explain(error)
    text = str(error).strip()
    if isinstance(error, InterpolationKeyError):
        what = f"{text.splitlines()[0]} (in {error.full_key})"
        return f"{what}: an option that was chosen belongs to another model"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: add {error.full_key}=VALUE"
    found = UNKNOWN.search(text) if isinstance(error, HydraException) else None
    return text if found is None else unknown_key(found["key"], words)


def wrapped_error(error: BaseException) -> BaseException | None:
    """Return the error of genbench that Hydra's `instantiate` or OmegaConf's resolution wraps, else None."""
    wraps = isinstance(error, InstantiationException | InterpolationResolutionError)
    inner: BaseException | None = error if wraps else None
    while isinstance(inner, HydraException | OmegaConfBaseException):
        inner = inner.__cause__ or inner.__context__
    return inner if isinstance(inner, ValueError | TypeError | OSError) else None


def missing_option(path: str, known: Sequence[str]) -> str:
    """Return the message that a group (path without its last part) has no option of this name."""
    group, _, option = path.rpartition("/")
    known = known or options(group)  # Hydra names none for a list such as scores=[fid,kid]
    text = f"{option} is not an option of {group}: choose from {', '.join(sorted(known))}"
    if group in ("hydra/launcher", "hydra/sweeper"):
        return (
            f"{text}. Launchers and Optuna come with "
            'pip install -e ".[sweep]" -c constraints.txt, Ray with ".[ray]"'
        )
    near = get_close_matches(option, known, n=1)
    return f"{text}. Did you mean {near[0]}?" if near else text


def unknown_key(key: str, words: Sequence[str]) -> str:
    """Return the message that the configuration of some overrides lacks a key, with the keys near it."""
    if is_group(key):
        who, accepted = accepted_groups(words)
        return f"{who} does not accept {key}; its groups are {', '.join(accepted)}"
    if key in OF_SAMPLES:
        return f"{key} is of samples, and metrics=none and metrics=likelihood draw none: leave it out"
    # Similar as a whole (budget.imagess), or by the last name alone (batch_size for trainer.batch_size).
    tree = composed_without(key, words)
    last = {path: path.rpartition(".")[2] for path in keys_of(tree)}
    named = get_close_matches(key.rpartition(".")[2], set(last.values()), n=1, cutoff=CLOSE)
    near = [*get_close_matches(key, last, n=2, cutoff=CLOSE), *(path for path in last if last[path] in named)]
    parts = [f"there is no key {key}"]
    if near:
        parts.append(f"near: {', '.join(list(dict.fromkeys(near))[:4])}")
    above = key.rpartition(".")[0]
    if children := [path for path in last if path.rpartition(".")[0] == above != ""]:
        parts.append(f"{above} has {', '.join(last[path] for path in children)}")
    return "; ".join(parts)


def composed_without(key: str, words: Sequence[str]) -> dict[str, Any]:
    """Return the unresolved configuration of all overrides that hold one value, but for that of one key.
    It is empty where they cannot be composed.
    """
    parsed = [(word, parse_override(word)) for word in words]
    others = [(word, override) for word, override in parsed if override and override.key_or_group != key]
    usable = [word for word, override in others if not override.is_sweep_override()]
    try:
        within_sweep = GlobalHydra.instance().is_initialized()
        with nullcontext() if within_sweep else composing():
            tree: Any = OmegaConf.to_container(compose("config", overrides=usable))
    except (HydraException, OmegaConfBaseException):
        return {}
    return tree


def keys_of(tree: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys of all settings and of the nodes that hold them, in the order of the tree."""
    leaves = (key.split(".") for key in flatten(tree) if not key.endswith("_target_"))
    every = (".".join(parts[: end + 1]) for parts in leaves for end in range(len(parts)))
    return list(dict.fromkeys(every))
