"""Words of a command line, checked and ordered before Hydra reads them."""

import re
from argparse import Namespace
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from genbench.config.groups import defaults, groups, options
from genbench.records.flatten import flatten
from genbench.runtime.passwords import is_secret_name

__all__ = ["as_text", "check_command", "parse_command", "parse_override", "quoted", "words_for_hydra"]

SET = re.compile(r"(?P<key>\+{0,2}[A-Za-z_][\w./@-]*)=(?P<value>.*)", re.DOTALL)
"""An override that sets a key or chooses an option: KEY=VALUE, +KEY=VALUE or ++KEY=VALUE."""
OF_THE_SWEEP = ("sweep", "runs_dir", "name")
"""Keys that a sweep needs itself: which jobs it has, and where its ledger is."""
TEXT = re.compile(r"name|runs_dir|hydra\.(run\.dir|sweep\.dir|sweep\.subdir)|[\w.]+\.(root|weights|run_dir)")
"""Keys of names and folders, whose values are text however they look: name=2024, runs_dir=~/x."""
VARIABLES = "hydra.job.env_set."


def parse_command(words: Sequence[str]) -> Namespace:
    """Return the options and overrides of a command line, named as Hydra's parser does: args.multirun, ..
    Unlike there, options may stand anywhere among the overrides. Exits with code 2 on an unknown option.
    """
    return get_args_parser().parse_intermixed_args(list(words))


def check_command(args: Namespace) -> None:
    """Raise ValueError on what Hydra would accept and genbench must not.
    It is a configuration of several values that is to be shown (-m with --cfg), a pickle to run from, a group
    without an option (group=null), and a key or password, which every run of the command would record.
    """
    if args.multirun and args.cfg:
        raise ValueError("--cfg shows one configuration: leave out -m, and give each key one value")
    if args.experimental_rerun is not None:
        raise ValueError(
            "--experimental-rerun reads a pickle, which can execute code: repeat the run's command"
        )
    for word in args.overrides:
        override = parse_override(word)
        if override is None or override.is_sweep_override():
            continue  # Hydra's to refuse, which varies none of its own settings either
        group = override.key_or_group
        if group in groups() and override.value() is None and not override.is_delete():
            raise ValueError(f"{word} chooses no option of {group}: choose from {', '.join(options(group))}")
        for key in flatten({group: override.value()}):
            name = key.removeprefix(VARIABLES)
            if key.startswith(VARIABLES) and is_secret_name(name):
                raise ValueError(
                    f"hydra.job.env_set would write {name} into the run: leave it out, and set the "
                    f"variable before the command (export {name}=..), from where jobs inherit it"
                )


def parse_override(word: str) -> Override | None:
    """Return an override as Hydra reads it, with its key and its value; None where it cannot be read.
    Such a word is left to Hydra, whose message says what is wrong with it.
    """
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def words_for_hydra(words: Sequence[str], args: Namespace) -> list[str]:
    """Return the words of a command as Hydra takes them: its options, then all overrides in one piece.

    words: the command line; args: the same, parsed. Overrides of the jobs of a sweep become one of
    `hydra.sweeper.params`, which are read when the jobs are composed. Hydra composes a sweep once before
    them, without what varies: if that is the model, it would refuse there what only some models accept.
    """
    own = [word for word in words if word not in args.overrides]
    if not is_product(args):
        return [*own, *map(as_text, args.overrides)]
    params, rest = [], []
    for word in map(as_text, args.overrides):
        found = SET.fullmatch(word)
        name = found["key"].lstrip("+") if found else ""
        if found is None or name.startswith("hydra") or name in OF_THE_SWEEP:
            rest.append(word)
        else:
            # OmegaConf must not resolve ${seed} before the jobs do: \${seed} is the text ${seed}.
            value = re.sub(r"(\\*)\$\{", r"\1\1\\${", found["value"])
            params.append(f"{found['key']}: {quoted(value)}")
    return [*own, *rest, f"++hydra.sweeper={{params: {{{', '.join(params)}}}}}"]


def as_text(word: str) -> str:
    """Return an override of a name or a folder with its value quoted, where Hydra would read a number, true
    or false, or nothing at all; any other word as it is. Each value of a sweep is
    treated alone.
    """
    found = SET.fullmatch(word)
    if found is None or not TEXT.fullmatch(found["key"].lstrip("+")):
        return word
    override = parse_override(word)
    if override is not None and override.is_sweep_override() and not set("'\"()[]{}") & set(found["value"]):
        key = f"{found['key']}="  # of which each value is text: Hydra would write 1e5 as 100000.0
        return key + ",".join(as_text(key + part).removeprefix(key) for part in found["value"].split(","))
    if override is None:
        is_as_typed = "," not in found["value"]
    else:
        is_as_typed = not override.is_sweep_override() and isinstance(override.value(), int | float)
    return f"{found['key']}={quoted(found['value'])}" if is_as_typed else word


def is_product(args: Namespace) -> bool:
    """Return True for a command that runs all combinations of values, False for one run or a search.
    A search chooses its jobs one after another, by a sweeper of its own that reads all overrides itself.
    """
    shows = args.cfg or args.info or args.shell_completion
    chosen = [word.partition("=")[2] for word in args.overrides if word.startswith("sweep=")]
    presets = [name for name in chosen if name in options("sweep")]
    chooses_sweeper = [word for word in args.overrides if word.startswith("hydra/sweeper=")]
    for name in presets:
        chooses_sweeper += [key for key in defaults("sweep", name) if "hydra/sweeper" in key]
    return bool(args.multirun or presets) and not shows and not chooses_sweeper


def quoted(text: str) -> str:
    """Return text as one quoted value of Hydra's grammar, which reads it back without any change.
    There, a backslash is itself, but backslashes before a quote count twice: it's becomes 'it\\'s'.
    """
    inner = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{inner}'"
