"""Words of a command line, checked and ordered before Hydra reads them."""

import re
from argparse import Namespace
from collections.abc import Iterator, Sequence

import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from genbench.config.groups import CONF, options
from genbench.records.flatten import flatten

__all__ = ["check_command", "parse_command", "parse_override", "quoted", "words_for_hydra"]

SET = re.compile(r"(?P<key>\+{0,2}[A-Za-z_][\w./@-]*)=(?P<value>.*)", re.DOTALL)
"""An override that sets a key or chooses an option: KEY=VALUE, +KEY=VALUE or ++KEY=VALUE."""
OF_THE_SWEEP = ("sweep", "runs_dir", "name")
"""Keys that a sweep needs itself: which jobs it has, and where its ledger is."""
VARIABLES = "hydra.job.env_set."
SECRET = {
    *("KEY", "KEYS", "APIKEY", "TOKEN", "TOKENS", "SECRET", "SECRETS", "AUTH"),
    *("PASS", "PASSWD", "PASSWORD", "PASSWORDS", "CREDENTIAL", "CREDENTIALS"),
}
"""Segments in the names of variables that hold a secret, such as in HF_TOKEN."""


def parse_command(words: Sequence[str]) -> Namespace:
    """Return the options and overrides of a command line, named as Hydra's parser does: args.multirun, ..

    Unlike there, options may stand anywhere among the overrides. Exits with code 2 on an unknown option.
    """
    return get_args_parser().parse_intermixed_args(list(words))


def check_command(args: Namespace) -> None:
    """Raise ValueError on what Hydra would accept and genbench must not.

    It is a configuration of several values that is to be shown (-m with --cfg), a pickle to run from, and a
    key or password, which every run of the command would record.
    """
    if args.multirun and args.cfg:
        raise ValueError("--cfg shows one configuration: leave out -m, and give each key one value")
    if args.experimental_rerun is not None:
        raise ValueError(
            "--experimental-rerun reads a pickle, which can execute code: repeat the run's command"
        )
    for name in (name for word in args.overrides for name in variables(word)):
        if SECRET & set(name.upper().split("_")):
            raise ValueError(
                f"hydra.job.env_set would write {name} into the run: leave it out, and set the "
                f"variable before the command (export {name}=..), from where jobs inherit it"
            )


def variables(word: str) -> Iterator[str]:
    """Yield the names of the environment variables that an override sets for jobs, without their values."""
    override = parse_override(word)
    if override is None or override.is_sweep_override():  # Hydra refuses to vary its own settings
        return
    for key in flatten({override.key_or_group: override.value()}):
        if key.startswith(VARIABLES):
            yield key.removeprefix(VARIABLES)


def parse_override(word: str) -> Override | None:
    """Return an override as Hydra reads it, with its key and its value; None where it cannot be read."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def words_for_hydra(words: Sequence[str], args: Namespace) -> list[str]:
    """Return the words of a command as Hydra takes them: its options, then all overrides in one piece.

    words: the command line; args: the same, parsed. Overrides of the jobs of a sweep become one of
    `hydra.sweeper.params`. Hydra composes a sweep once before its jobs, without what varies. Where that is
    the model, a setting that only some of the models accept would be refused there, although the jobs accept
    it. Parameters of the sweeper are read when the jobs are composed, and not before.
    """
    own = [word for word in words if word not in args.overrides]
    if not is_product(args):
        return [*own, *args.overrides]
    sets = {
        word: found
        for word in args.overrides
        if (found := SET.fullmatch(word)) and not of_sweep(found["key"])
    }
    params = ", ".join(f"{one['key']}: {quoted(escaped(one['value']))}" for one in sets.values())
    rest = [word for word in args.overrides if word not in sets]
    return [*own, *rest, f"++hydra.sweeper={{params: {{{params}}}}}"]


def is_product(args: Namespace) -> bool:
    """Return True for a command that runs all combinations of values, False for one run or a search.

    A search chooses its jobs one after another, by a sweeper of its own that reads all overrides itself.
    """
    chosen = [word.partition("=")[2] for word in args.overrides if word.startswith("sweep=")]
    presets = [name for name in chosen if name in options("sweep")]
    searches = any(word.startswith("hydra/sweeper=") for word in args.overrides) or any(
        map(brings_sweeper, presets)
    )
    runs = not (args.cfg or args.info or args.shell_completion)
    return runs and bool(args.multirun or presets) and not searches


def brings_sweeper(preset: str) -> bool:
    """Return True where an option of conf/sweep chooses another sweeper than Hydra's basic one."""
    entries = yaml.safe_load((CONF / "sweep" / f"{preset}.yaml").read_text()).get("defaults", [])
    return any("hydra/sweeper" in key for entry in entries if isinstance(entry, dict) for key in entry)


def of_sweep(key: str) -> bool:
    """Return True for a key of Hydra's own or of the sweep as a whole, False for a setting of its jobs."""
    return key.lstrip("+").startswith("hydra") or key.lstrip("+") in OF_THE_SWEEP


def escaped(text: str) -> str:
    r"""Return text in which OmegaConf resolves no interpolation yet: \${seed} for ${seed}."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def quoted(text: str) -> str:
    """Return text as one value of Hydra's grammar, where backslashes before a quote count twice."""
    inner = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{inner}'"
