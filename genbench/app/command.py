"""Words of a command line, checked and ordered before Hydra reads them."""

import re
from argparse import Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from genbench.app.field_words import instead
from genbench.app.words import check_word, parse_override, quoted
from genbench.config.groups import defaults, groups, options
from genbench.config.option_folders import TRAIN
from genbench.config.schema import CORE, ROOT

__all__ = ["as_text", "check_command", "parse_command", "parse_override", "quoted", "words_for_hydra"]

SET = re.compile(r"(?P<key>\+{0,2}[A-Za-z_][\w./@-]*)=(?P<value>.*)", re.DOTALL)
"""An override that sets a key or chooses an option: KEY=VALUE, +KEY=VALUE or ++KEY=VALUE."""
COMPLETION = re.compile(r"(install|uninstall|query)=(bash|fish|zsh)")
OF_THE_SWEEP = ("sweep", "runs_dir", "name")
"""Keys that a sweep needs itself: which jobs it has, and where its ledger is."""
TEXT = re.compile(r"name|runs_dir|hydra\.(run\.dir|sweep\.dir|sweep\.subdir)|[\w.]+\.(root|weights|run_dir)")
"""Keys of names and folders, whose values are text however they look: name=2024, runs_dir=~/x."""


def parse_command(words: Sequence[str]) -> Namespace:
    """Return the options and overrides of a command line, named as Hydra's parser does: args.multirun, ..
    Unlike there, options may stand anywhere among the overrides. Raises ValueError on an unknown option.
    """
    parser = get_args_parser()
    known = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]

    def refuse(message: str) -> NoReturn:
        unknown = [
            number
            for number, word in enumerate(words)
            if word.startswith("--") and word in message and word.partition("=")[0] not in known
        ]
        if settings := [typed for number in unknown if (typed := without_dashes(words, number))]:
            raise ValueError(f"{message}. Settings have no dashes: did you mean {', '.join(settings)}?")
        near = [found for word in words for found in get_close_matches(word, known, n=1) if word not in known]
        remedy = f"Did you mean {near[0]}?" if near else f"`{TRAIN} --help` shows what can be given"
        raise ValueError(f"{message}. {remedy}")

    parser.error = refuse  # type: ignore[method-assign]  # argparse itself would print a page, and exit
    return parser.parse_intermixed_args(list(words))


def without_dashes(words: Sequence[str], number: int) -> str:
    """Return the setting that the option at a place of a command line means: model=ddpm of --model ddpm.
    An option without a value means true; "" where no setting has this name.
    """
    name, equals, value = words[number].lstrip("-").partition("=")
    after = words[number + 1] if number + 1 < len(words) else ""
    if not equals:
        value = after if after and not after.startswith("-") and "=" not in after else "true"
    return setting(name, value, words) or (f"{name}={value}" if equals and re.match(r"\w", name) else "")


def setting(name: str, value: str, words: Sequence[str]) -> str:
    """Return KEY=VALUE for the name of a key, of a group or of the field's words; "" for any other name.
    words: the command line, whose overrides say for which model and data.
    """
    key = name.replace("-", "_")
    if meant := instead(key, value, [word for word in words if SET.fullmatch(word)]):
        return meant
    return f"{key}={value}" if key.partition(".")[0] in {*groups(), *CORE, *ROOT} else ""


def check_command(args: Namespace) -> None:
    """Raise ValueError on what Hydra would accept and genbench must not, or would refuse by a traceback or in
    its own terms: options that do not go together or that name nothing, and words (see check_word).
    """
    if args.multirun and args.cfg:
        raise ValueError("--cfg shows one configuration: leave out -m, and give each key one value")
    shows = [args.cfg, args.info, args.shell_completion, args.multirun or args.run]
    if sum(map(bool, shows)) > 1 or (args.multirun and args.run):
        raise ValueError("give one of -m, --run, --cfg, --info and --shell-completion alone")
    if args.experimental_rerun is not None:
        raise ValueError(
            "--experimental-rerun reads a pickle, which can execute code: repeat the run's command"
        )
    if args.config_path is not None:
        raise ValueError("--config-path is not taken: give options of your own by --config-dir")
    for option in ("resolve", "package"):
        if getattr(args, option) and not args.cfg:
            raise ValueError(f"--{option} is of --cfg: add --cfg job, or leave out --{option}")
    if args.package and re.split(r"\W", args.package)[0] not in {*groups(), *CORE, *ROOT, "hydra"}:
        raise ValueError(f"--package is {args.package!r}; it must be a node of the configuration, as trainer")
    if args.shell_completion and not all(map(COMPLETION.fullmatch, args.overrides)):
        raise ValueError(
            "-sc installs completion for a shell: give install=bash, install=fish or install=zsh"
        )
    check_equals_signs(args.overrides)
    for word in args.overrides:
        check_word(as_text(word))
        check_tuned(word)


def check_equals_signs(words: Sequence[str]) -> None:
    """Raise ValueError on names of settings or options that stand alone, as in `model ddpm`, or `ddpm`.
    words: the overrides of a command; the message has the word as it must be typed.
    """
    if words and words[0] == "train":
        raise ValueError(f"{TRAIN} takes no verb: leave out train")
    for word, after in zip(words, [*words, ""][1:], strict=True):
        if "=" in word or not re.match(r"[A-Za-z_]", word):
            continue
        if after and "=" not in after and (typed := setting(word, after, words)):
            raise ValueError(f"'{word} {after}' lacks an equals sign: write {typed}")
        if choices := [f"{group}={word}" for group in ("model", "data", *groups()) if word in options(group)]:
            meant = " or ".join(list(dict.fromkeys(choices))[:3])
            raise ValueError(f"{word!r} cannot be read as KEY=VALUE: did you mean {meant}?")


def check_tuned(word: str) -> None:
    """Raise ValueError on a choice of tuned settings that are not there, over which Hydra passes silently.
    word: an override that can be read.
    """
    override = parse_override(word)
    if override is None or override.key_or_group != "tuned" or override.is_delete():
        return
    known = options("tuned")
    names = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    if any(name not in known for name in names):
        raise ValueError(f"{word} names no file of conf/tuned: choose from {', '.join(known)}")


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
    A search chooses its jobs one after another, by a sweeper of its own that reads all overrides itself. A
    preset of a sweep runs one job of it by hydra.mode=RUN, with the values that the command gives.
    """
    shows = args.cfg or args.info or args.shell_completion
    chosen = [word.partition("=")[2] for word in args.overrides if word.startswith("sweep=")]
    presets = [name for name in chosen if name in options("sweep")]
    chooses_sweeper = [word for word in args.overrides if word.startswith("hydra/sweeper=")]
    for name in presets:
        chooses_sweeper += [key for key in defaults("sweep", name) if "hydra/sweeper" in key]
    modes = [word.partition("=")[2] for word in args.overrides if word.lstrip("+").startswith("hydra.mode=")]
    is_many = args.multirun or (modes[-1] == "MULTIRUN" if modes else bool(presets))
    return is_many and not shows and not chooses_sweeper
