"""What `python main.py --help` says, read from the folder of the configuration.

Hydra's own list of groups and options takes it several seconds here.
"""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from genbench.config.groups import CONF, axes_of

__all__ = ["help_text"]

HEAD = """\
genbench trains, measures and compares families of generative image models under one protocol.

python main.py model=ddpm schedule=cosine                   train, evaluate and table a DDPM on digits
python main.py data=fashion_mnist data.root=PATH budget.seconds=600
python main.py -m schedule=linear,cosine loss=l1,l2,huber   all six combinations; then: genbench report runs
python main.py -m model=ddpm,vae,flow,gan seed=0,1          four families, two seeds (dry_run=true: estimate)
python main.py --help schedule loss                         what the options of some groups are
python main.py --help model=gan                             the groups that a model has
"""
FOOT = """\
Any key of the configuration can be set as key=value (nested: sampler.steps=20); --cfg job shows all of them.
Options: --cfg job [--resolve], -m (multirun over comma-separated values), -sc install=bash (completion in the
shell), --hydra-help. The same command again finds its own run and goes on with it; rerun=true starts afresh.
"""
HIDDEN = ("hydra", "tuned")
"""Folders of the configuration that nobody chooses from."""


def help_text(words: Sequence[str]) -> str:
    """The whole page; of words that name groups, their options; of those that choose one, what it brings.

    Raises ValueError on a word that is neither.
    """
    words = [word for word in words if "=" not in word or word.partition("=")[0] in groups()]
    if not words:
        listed = (f"{group}: {', '.join(path.stem for path in options(group))}" for group in groups())
        return "\n".join([HEAD, "Groups and their options (choose with group=option):\n", *listed, "", FOOT])
    return "\n\n".join(brings(word) if "=" in word else described(word) for word in words) + "\n"


def groups() -> list[str]:
    """The groups that can be chosen from."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in HIDDEN)


def options(group: str) -> list[Path]:
    """The files of a group's options. Raises ValueError where there is no such group."""
    if group not in groups():
        raise ValueError(f"--help {group}: there is no such group; legal are {', '.join(groups())}")
    return sorted((CONF / group).glob("*.yaml"))


def described(group: str) -> str:
    """Each option of a group with the top of its file, which says what it is."""
    width = max(len(path.stem) for path in options(group))
    lines = [f"  {path.stem:{width}}  {first_comment(path)}".rstrip() for path in options(group)]
    return "\n".join([f"{group}:", *lines])


def first_comment(path: Path) -> str:
    """What a file says of itself at its top, but for Hydra's own word."""
    top = takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    return " ".join(line[1:].strip() for line in top if not line.startswith("# @package"))


def brings(choice: str) -> str:
    """The groups that an option has, with their options and the one that it takes."""
    group, _, option = choice.partition("=")
    if option not in (legal := [path.stem for path in options(group)]):
        raise ValueError(f"--help {choice}: legal are {', '.join(legal)}")
    axes = axes_of(group, option, {})
    lines = [f"  {axis}: {', '.join(path.stem for path in options(axis))}" for axis in dict.fromkeys(axes)]
    head = f"{choice} has these groups (not all of their options fit)" if lines else f"{choice} has no groups"
    return "\n".join([head, *lines])
