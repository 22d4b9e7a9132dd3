"""Error messages: what is wrong in the user's words, what to choose from, and the exit code."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NoReturn, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from genbench.app.field_words import instead, keys_of
from genbench.app.misfit import composed, is_of_misfit, misfit
from genbench.app.missing_parts import bringing_group, options_with
from genbench.app.outside_words import asks_for_own, of_outside_classifier, typed_as_setting
from genbench.app.typed_keys import resolved_place
from genbench.app.words import parse_override, quoted, unreadable
from genbench.config.groups import accepted_groups, groups, is_group, option_file, options
from genbench.config.option_folders import OWN_OPTIONS, TRAIN
from genbench.errors import Damaged, Failure, Unmeasured, UsageError
from genbench.runtime.disk import explain, is_machine_fault
from genbench.runtime.printable import complain

__all__ = ["EXIT_FAILED", "EXIT_STOPPED", "EXIT_USAGE", "explain_error", "leave", "refusing", "wrapped_error"]

EXIT_FAILED, EXIT_USAGE, EXIT_UNMEASURED, EXIT_STOPPED = 1, 2, 3, 130

UNKNOWN = re.compile(r"Could not override '(?P<key>[^']+)'")
"""Hydra's message on an override of a key, or of a group, that the configuration lacks.

The exception holds the key in its text alone. tests/app/test_messages.py provokes it in the installed Hydra.
"""
SEVERAL = re.compile(r"Ambiguous value for argument '(?P<word>.*)'$", re.MULTILINE)
OF_HYDRA = re.compile(r"Sweeping over Hydra's configuration is not supported : '(?P<word>.*)'")
THERE = re.compile(r"Could not append to config. An item is already at '(?P<key>[^']+)'")
NOT_THERE = re.compile(r"Could not delete from config\. '(?P<key>[^']+)' does not exist")
MISSING = re.compile(r"while resolving interpolation: Missing mandatory value: (?P<key>[\w.]+)")
REFUSED = re.compile(r"Error merging override (?P<word>.*)")
OF_SAMPLES = ("metrics.samples", "metrics.batch_size")
"""Settings that metrics=none and metrics=likelihood lack, since they draw no samples."""
OF_SCORES = ("scores", "features")
"""Groups that these lack too."""
WITH_SCORES = "add metrics=standard (of `genbench` commands: --set metrics=standard)"
HALF = ("float16", "half", "16")
"""Names that users may try for the precision that is called fp16 here."""
OWN_CLASSIFIER = (
    "A classifier of yours is guidance=classifier_outside guidance_network=NAME guidance.weights=PATH"
)
CLOSE = 0.75  # least similarity (difflib, 1 at most) of a name and the one that it may be misspelt of
HINT = f"`{TRAIN} --help` lists the groups and their options, `--cfg job` all keys and their values"


def leave(error: Exception, words: Sequence[str] = ()) -> NoReturn:
    """Print the message of an error that ends a command, and exit with the code that belongs to it.
    words: the overrides of the command, by which a misspelt one is explained. A command, or a file that it
    reads, that cannot be used exits with 2, a failure of a run or of the machine with 1, a run that is
    trained but could not be evaluated with 3.
    """
    text = explain_error(error, words)
    complain(f"{text}\n{HINT}" if isinstance(error, HydraException) else text)
    if isinstance(error, Unmeasured):
        sys.exit(EXIT_UNMEASURED)
    is_machines = isinstance(error, OSError) and is_machine_fault(error)
    failed = isinstance(error, Failure | FloatingPointError) and not isinstance(error, Damaged)
    sys.exit(EXIT_FAILED if is_machines or failed else EXIT_USAGE)


@contextmanager
def refusing() -> Iterator[None]:
    """Raise UsageError, explained by `explain_error`, where paths or values in the block cannot be used.
    The overrides are those of the job in which the block runs, none outside of one.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, OSError) as error:
        hydra = cast("DictConfig | None", HydraConfig.instance().cfg)  # declared as its own part
        words: Any = [] if hydra is None else OmegaConf.to_container(hydra.hydra.overrides.task)
        raise UsageError(explain_error(error, words)) from error


def explain_error(error: BaseException, words: Sequence[str] = ()) -> str:
    """Return the message of an error: what is wrong, what to choose from, without the interpreter's context.
    words: the overrides that Hydra composed when it raised the error. Where Hydra or OmegaConf wrap an error
    of genbench, the message is that error's.
    """
    if is_of_misfit(error) and (unfit := typed_as_setting(words) or misfit(words)) is not None:
        return unfit
    if (own := wrapped_error(error)) is not None:
        return str(own)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return missing_option(error.missing_cfg_file, error.options or ())
    if isinstance(error, OverrideParseException):
        return unreadable(error.override)
    if isinstance(error, OSError):
        return explain(error)
    text = str(error).strip()
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return f"{text.splitlines()[-1].strip()} cannot be built of these settings: {error.__cause__}"
    if isinstance(error, InterpolationKeyError):
        missing = text.splitlines()[0].removeprefix("Interpolation key ").removesuffix(" not found")
        return f"{error.full_key or 'a value'} refers to {missing}, and there is no such key"
    if isinstance(error, MissingMandatoryValue | InterpolationToMissingValueError):
        found = MISSING.search(text)  # where another value refers to it, as a hash of a run's weights does
        key = own_key(found["key"] if found else error.full_key or "", words)
        meant = comment_of(key, words)
        return f"{key} has no value: give it one, {key}=VALUE{meant and f', the {meant}'}"
    if isinstance(error, HydraException):
        return text_of_hydra(error, text, words)
    return text.splitlines()[0]  # the others are OmegaConf's own state


def comment_of(key: str, words: Sequence[str]) -> str:
    """Return what stands behind a setting without a value in the file of its option, which overrides chose;
    "" where they did not, or it has no comment.
    """
    group, last = key.partition(".")[0], re.escape(key.rpartition(".")[2])
    given = [found for found in map(parse_override, words) if found and found.key_or_group == group]
    path = option_file(group, str(given[-1].value())) if given else None
    lines = path.read_text() if path else ""
    found = re.search(rf"^ *{last}: \?\?\? *# (.*)$", lines, re.MULTILINE)
    return found[1] if found else ""


def own_key(key: str, words: Sequence[str]) -> str:
    """Return the key by which a command sets what stands at a place: guidance.scale of
    model.process.guidance.scale, base_model.run_dir of model.base.run_dir, since a model refers to the groups
    that it is made of. words: the overrides that the model was composed of.
    """
    typed, _ = resolved_place(composed(words), key)
    if typed.partition(".")[0] != "model":
        return typed
    parts = key.split(".")
    inner = [number for number, part in enumerate(parts) if part in groups()]
    return ".".join(parts[inner[-1] if inner else 0 :])


def text_of_hydra(error: HydraException, text: str, words: Sequence[str]) -> str:
    """Return the message of an error of Hydra on overrides, which names the override in its text alone.
    tests/app/test_messages.py provokes each kind in the installed Hydra.
    """
    if (found := UNKNOWN.search(text)) is not None:
        return unknown_key(found["key"], words)
    if (found := SEVERAL.match(text)) is not None:
        key, _, value = found["word"].partition("=")
        others = [word for word in words if word != found["word"]]
        if "." not in key and not is_group(key) and (settings := instead(key, value, others)):
            return f"there is no key {key}: write {settings}, with -m for a run of each value"
        return (
            f"{found['word']} gives several values: add -m to the command for a run of each, give one of "
            f'them, or quote a text with commas: "{key}={quoted(value)}"'
        )
    if (found := OF_HYDRA.match(text)) is not None:
        return f"{found['word']} is a setting of Hydra, which is the same for all jobs: give it one value"
    if (found := THERE.search(text)) is not None:
        return f"+{found['key']} adds a key that is there: leave out the plus, as {found['key']}=VALUE"
    if (found := NOT_THERE.search(text)) is not None:
        return f"~{found['key']} leaves out a key that is not there: leave out this word"
    if (found := REFUSED.match(text)) is not None and error.__cause__ is not None:
        return f"{found['word']} is refused: {str(error.__cause__).splitlines()[0]}"
    return text


def wrapped_error(error: BaseException) -> BaseException | None:
    """Return the error of genbench that Hydra's `instantiate` or OmegaConf's resolution wraps, else None."""
    wraps = isinstance(error, InstantiationException | InterpolationResolutionError)
    inner: BaseException | None = error if wraps else None
    while isinstance(inner, HydraException | OmegaConfBaseException):
        inner = inner.__cause__ or inner.__context__
    return inner if isinstance(inner, ValueError | TypeError | OSError) else None


def missing_option(path: str, known: Sequence[str]) -> str:
    """Return the message that a group (path without its last part) has no option of this name."""
    group, _, option = path.partition("/") if path.startswith("data/") else path.rpartition("/")
    known = known or options(group)  # Hydra names none for a list such as scores=[fid,kid]
    if not group:
        return f"--config-name is {option!r}, and there is no {option}.yaml in conf/: leave it out"
    text = f"{option} is not an option of {group}: choose from {', '.join(sorted(known))}"
    if group in ("hydra/launcher", "hydra/sweeper"):
        return (
            f"{text}. Launchers and Optuna come with "
            'pip install -e ".[sweep]" -c constraints.txt, Ray with ".[ray]"'
        )
    if group == "precision" and option in HALF:
        return f"{text}. Did you mean fp16? On devices with bf16 units bf16 needs no scaled loss"
    if group == "guidance" and asks_for_own(option):
        return f"{text}. {OWN_CLASSIFIER}"
    near = get_close_matches(option, known, n=1)
    if group == "data" and not near:
        return f"{text}; images of your own are data=image_folder data.root=PATH"
    return f"{text}. Did you mean {near[0]}?" if near else f"{text}; {OWN_OPTIONS}"


def unknown_key(key: str, words: Sequence[str]) -> str:
    """Return the message that the configuration of some overrides lacks a key, with the keys near it."""
    given = {override.key_or_group for override in map(parse_override, words) if override is not None}
    # Where no word has the key, an option that was chosen overrides what another model has.
    if key not in given and (unfit := misfit(words)) is not None:
        return unfit
    group, (who, accepted) = key.partition(".")[0], accepted_groups(words)
    others = [word for word in words if not word.startswith(f"{key}=")]
    given_value = next((word.partition("=")[2] for word in words if word not in others), "VALUE")
    may_guide = "guidance" in accepted and (group == "guidance" or group not in accepted)
    if may_guide and (outside := of_outside_classifier(key, given_value)):
        return outside
    if group in OF_SCORES and (there := composed_without(key, words)) and group not in there:
        return f"{group} is of samples, and metrics=none and metrics=likelihood draw none: {WITH_SCORES}"
    models = [name for name in options("model") if group in accepted_groups([f"model={name}"])[1]]
    if is_group(key) or (models and group not in accepted):
        also = f". Models that accept {group}: {', '.join(models)}" if models else ""
        also = also or (". It is one of metrics=several" if group == "more_features" else "")
        if ways := bringing_group(group, others):
            return f"{who} accepts {group} only with {' or '.join(ways)}: add {that(ways)}{also}"
        near = [f". Did you mean {name}?" for name in accepted if name.startswith(f"{group}_")]
        return f"{who} does not accept {group}; its groups are {', '.join(accepted)}{also}{''.join(near[:1])}"
    if key in OF_SAMPLES:
        return f"{key} is of samples, and metrics=none and metrics=likelihood draw none: leave it out"
    if settings := instead(key, given_value, others):
        return f"there is no key {key}: write {settings}"
    if owners := options_with(key, others):
        return f"there is no key {key}: it belongs to {group}={', '.join(owners)}; choose {that(owners)}"
    # Similar as a whole (budget.imagess), or by the last name alone (batch_size for trainer.batch_size).
    tree = composed_without(key, words)
    last = {path: path.rpartition(".")[2] for path in keys_of(tree)}
    named = get_close_matches(key.rpartition(".")[2], set(last.values()), n=1, cutoff=CLOSE)
    near = [*get_close_matches(key, last, n=2, cutoff=CLOSE), *(path for path in last if last[path] in named)]
    parts = [f"there is no key {key}"]
    if key.startswith("hydra."):
        parts.append(f"a key that Hydra lacks is added by a plus, as +{key}=VALUE")
    if near:
        parts.append(f"near: {', '.join(list(dict.fromkeys(near))[:4])}")
    above = key.rpartition(".")[0]
    if children := [path for path in last if path.rpartition(".")[0] == above != ""]:
        parts.append(f"{above} has {', '.join(last[path] for path in children)}")
    return "; ".join(parts)


def that(choices: Sequence[str]) -> str:
    """Return how a message refers to the choices that it has just named, of which one is needed."""
    return "that" if len(choices) == 1 else "one of them"


def composed_without(key: str, words: Sequence[str]) -> dict[str, Any]:
    """Return the unresolved configuration of all overrides that hold one value, but for that of one key.
    It is empty where they cannot be composed.
    """
    parsed = [(word, parse_override(word)) for word in words]
    others = [(word, override) for word, override in parsed if override and override.key_or_group != key]
    usable = [word for word, override in others if not override.is_sweep_override()]
    return composed(usable)
