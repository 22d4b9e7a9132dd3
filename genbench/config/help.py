"""Help page of the command that trains, read from the folders of options.

Hydra's own list of groups and options takes it several seconds here.
"""

from collections.abc import Sequence
from itertools import takewhile

from genbench.config.groups import groups, groups_of, option_file, options
from genbench.config.option_folders import TRAIN

__all__ = ["help_text"]

HEAD = f"""\
genbench trains, evaluates and compares families of generative image models under one protocol.

{TRAIN} model=ddpm schedule=cosine                   train and evaluate a DDPM on digits
{TRAIN} data=fashion_mnist data.root=PATH budget.seconds=600
{TRAIN} -m schedule=linear,cosine loss=l1,l2,huber   all six combinations; then: genbench report runs
{TRAIN} -m model=ddpm,vae,flow,gan seed=0,1          four families, two seeds (dry_run=true: estimate)
{TRAIN} --help schedule loss                         describe the options of groups
{TRAIN} --help model=gan                             list the groups that a model accepts
"""
FOOT = """\
Any key of the configuration can be set as key=value (nested: sampler.steps=20); --cfg job shows all of them.
Options: --cfg job [--resolve], -m (multirun over comma-separated values), -sc install=bash (completion in the
shell), --hydra-help. The same command again resumes its own run; rerun=true starts a new one.
"""


def help_text(words: Sequence[str]) -> str:
    """Return the help page; with words that name groups or choose options, the help on these.

    words: `loss` describes each option of this group, `model=gan` lists the groups that this option accepts;
    settings of keys, such as seed=1, are passed over. Raises ValueError on a group or option that is missing.
    """
    words = [word for word in words if "=" not in word or word.partition("=")[0] in groups()]
    if not words:
        listed = (f"{group}: {', '.join(options(group))}" for group in groups())
        return "\n".join([HEAD, "Groups and their options (choose with group=option):\n", *listed, "", FOOT])
    return "\n\n".join(accepted(word) if "=" in word else described(word) for word in words) + "\n"


def described(group: str) -> str:
    """Return each option of a group with the comment at the top of its file, one a line."""
    if group not in groups():
        raise ValueError(f"--help {group}: there is no such group: choose from {', '.join(groups())}")
    names = options(group)
    width = max(map(len, names))
    lines = []
    for name in names:
        path = option_file(group, name)
        assert path is not None
        top = takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
        # Hydra's own line about the package says nothing to a reader.
        text = " ".join(line[1:].strip() for line in top if not line.startswith("# @package"))
        lines.append(f"  {name:{width}}  {text}".rstrip())
    return "\n".join([f"{group}:", *lines])


def accepted(choice: str) -> str:
    """Return the groups that an option accepts, of a choice such as model=gan, with the options of each."""
    group, _, option = choice.partition("=")
    if option not in options(group):
        raise ValueError(
            f"--help {choice}: {option} is not an option of {group}: choose from {', '.join(options(group))}"
        )
    found = dict.fromkeys(groups_of(group, option, {}))
    lines = [f"  {name}: {', '.join(options(name))}" for name in found]
    head = f"{choice} accepts these groups (not all of their options fit)"
    return "\n".join([head if lines else f"{choice} accepts no groups", *lines])
