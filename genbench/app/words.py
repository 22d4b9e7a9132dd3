"""Words of a command line that Hydra would refuse in its own terms, or accept without an effect."""

import logging
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from genbench.config.groups import groups, options
from genbench.records.flatten import flatten
from genbench.runtime.passwords import is_secret_name

__all__ = ["assigned", "check_word", "overridden", "parse_override", "quoted", "unreadable"]

OPTIONAL = ("tuned", "experiment", "sweep")
"""Entries of conf/config.yaml without which there still is a run: they alone can be deleted as a whole."""
SEVERAL = ("scores", "more_features", "experiment", "tracker")
"""Groups of which a run can have several options."""
OF_HYDRA = (
    *("hydra/launcher", "hydra/sweeper", "hydra/job_logging", "hydra/hydra_logging"),
    *("hydra.launcher", "hydra.sweeper", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"),
    *("hydra.mode", "hydra.verbose", "hydra.searchpath", "hydra.job.chdir", "hydra.job.env_set"),
)
"""Settings of Hydra that have an effect here; others are filled in by itself, or by conf/config.yaml."""
VARIABLES = "hydra.job.env_set."
LEVEL = "hydra.job_logging.root.level"
WITHOUT_FILE = ("disabled", "none", "stdout")
"""Options of hydra/job_logging that have no file main.log, whose settings conf/config.yaml gives."""


def parse_override(word: str) -> Override | None:
    """Return an override as Hydra reads it, with its key and its value; None where it cannot be read.
    Nothing is looked up: neither the key nor the option need exist.
    """
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def quoted(text: str) -> str:
    """Return text as one quoted value of Hydra's grammar, which reads it back without any change.
    There, a backslash is itself, but backslashes before a quote count twice: it's becomes 'it\\'s'.
    """
    inner = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{inner}'"


def assigned(key: str, value: str) -> str:
    """Return the override that gives a key exactly this text, in quotes where Hydra would read the text as
    anything else: a=b, a list, a number, several values. Raises ValueError on ${, a reference in quotes too.
    """
    if "${" in value:
        raise ValueError(f"{key} is {value!r}, and ${{ begins a reference: give a name without it, or a link")
    override = parse_override(f"{key}={value}")
    if override is not None and override.value() == value:
        return f"{key}={value}"
    return f"{key}={quoted(value)}"


def check_word(word: str) -> None:
    """Raise ValueError on an override that cannot be read, or that no run can have, with the remedy.

    word: as on the command line, such as seed=0,1 or ~tuned. Whether its key and its option exist is left to
    Hydra, which knows the folders of --config-dir too.
    """
    override = parse_override(word)
    if override is None:
        raise ValueError(unreadable(word))
    for fault in faults(word, override):
        raise ValueError(fault)


def unreadable(word: str) -> str:
    """Return the message on a word that is not of Hydra's grammar, with the value in quotes if it has one."""
    key, equals, value = word.partition("=")
    text = f"{word!r} cannot be read as KEY=VALUE"
    if not equals:
        near = get_close_matches(word, groups(), n=1)
        return f"{text}, such as {near[0] if near else 'model'}={options(near[0] if near else 'model')[0]}"
    if re.fullmatch(r"[+~]{0,2}[A-Za-z_][\w./@-]*", key, re.ASCII) is None:
        return f"{text}: {key!r} is no key; keys are such as model, seed or sampler.steps"
    safe = f"{key}={quoted(value)}"
    shown = f'"{safe}"' if not set(safe) & set('"$`\\!\n') else shlex.quote(safe)
    return f"{text}: close its brackets and quotes, or give the value as text in quotes of its own: {shown}"


def faults(word: str, override: Override) -> Iterator[str]:
    """Yield what is wrong with an override that can be read, the most important first."""
    key = override.key_or_group
    if not key:
        yield f"{word!r} names no key: write KEY=VALUE, such as model=ddpm"
    if override.package is not None:
        bare = word.replace(f"@{override.package}", "", 1)
        yield f"{word}: each group has one place here, and '@{override.package}' names another: write {bare}"
    root = re.split(r"[./]", key)[0]
    if root == "image":
        yield f"{word}: {key} is a fact of the data, which a run fills in: leave it out, and choose data"
    if root == "hydra":
        yield from faults_of_hydra(word, override)
    elif override.is_delete():
        # Of a group, single scores, and arguments that have a default or that another _target_ does not take.
        if key not in OPTIONAL and not (root in groups() and "." in key and "._" not in key):
            another = f"to take another {key}=OPTION, choose from {', '.join(options(key))}"
            instead = another if key in groups() else f"set {key}=VALUE"
            yield f"{word}: only {', '.join(OPTIONAL)} and settings of groups can be left out: {instead}"
    elif key in groups() and not override.is_sweep_override():
        yield from faults_of_choice(word, override)


def faults_of_choice(word: str, override: Override) -> Iterator[str]:
    """Yield what is wrong with the form of a choice in a group; whether the option exists is seen later."""
    group, value = override.key_or_group, override.value()
    legal = f"choose from {', '.join(options(group))}"
    if word.startswith("+"):
        yield f"{word}: {group} is chosen without a plus: write {word.lstrip('+')}"
    if value is None and group in OPTIONAL:
        return
    if value is None or value == "":
        yield f"{word} chooses no option of {group}: {legal}"
    names = value if isinstance(value, list) else [value]
    if isinstance(value, list) and group not in SEVERAL:
        more = "; several are metrics=several more_features=[..]" if group == "features" else ""
        one = f"a run has one {group}, such as {group}={options(group)[0]}"
        yield f"{word} is a list, and {one}: {legal}{more}"
    if not names:
        without = "; metrics=likelihood has no scores" if group == "scores" else ""
        yield f"{word} chooses nothing: {legal}{without}"
    if not all(isinstance(name, str) for name in names):
        yield f"{word} names no option of {group}: {legal}"
    twice = [name for name, times in Counter(map(str, names)).items() if times > 1]
    if twice:
        yield f"{word} names {twice[0]} twice: name each option once"


def faults_of_hydra(word: str, override: Override) -> Iterator[str]:
    """Yield what is wrong with a setting of Hydra: one that has no effect or would disable checks, an empty
    directory, and a key or password, which every run of the command would record.
    """
    if override.is_sweep_override():
        return  # Hydra's to refuse, which varies none of its own settings either
    if override.key_or_group == "hydra.searchpath":
        yield from faults_of_searchpath(word, override.value())
    if override.key_or_group == "hydra/job_logging" and override.value() in WITHOUT_FILE:
        yield f"{word} has no file, and a run writes main.log: leave it out"
    for key, value in flatten({override.key_or_group: override.value()}).items():
        if key == LEVEL and value in logging.getLevelNamesMapping() and not override.is_delete():
            continue
        name = key.removeprefix(VARIABLES)
        if key.startswith(VARIABLES) and is_secret_name(name):
            yield (
                f"hydra.job.env_set would write {name} into the run: leave it out, and set the "
                f"variable before the command (export {name}=..), from where jobs inherit it"
            )
        if override.is_delete() or not any(f"{key}.".startswith(f"{legal}.") for legal in OF_HYDRA):
            yield f"{word}: of Hydra's settings a command can give {', '.join(OF_HYDRA)}: leave this one out"
        if key.endswith("dir") and value in ("", None):
            yield f"{word} names no directory: give one, or leave it out"
        if key == "hydra.verbose" and not isinstance(value, bool | str | list):
            yield f"{word}: it must be true, false, or the name of a logger, such as hydra"


def faults_of_searchpath(word: str, value: object) -> Iterator[str]:
    """Yield what is wrong with the folders of options in hydra.searchpath, which Hydra passes over."""
    for name in value if isinstance(value, list) else [None]:
        if not isinstance(name, str) or (name.startswith("file://") and not Path(name[7:]).is_dir()):
            yield f"{word}: it must be a list of folders that exist, such as [file:///home/me/options]"


def overridden(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the words that have no effect since a later one sets the same key, each with that later one.
    words: all overrides of a command; a word that is given twice alike is not among them.
    """
    last = dict[str, str]()
    found = []
    for word in words:
        override = parse_override(word)
        key = "" if override is None else override.get_key_element()
        if key in last and last[key] != word:
            found.append((last[key], word))
        last[key] = word
    return found
