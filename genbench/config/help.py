"""Help page of the command that trains, read from the folders of options.

Hydra's own list of groups and options takes it several seconds here.
"""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import takewhile
from textwrap import fill, wrap

from genbench.config.groups import defaults, groups, groups_of, option_file, options
from genbench.config.option_folders import OWN_OPTIONS, TRAIN
from genbench.config.schema import ROOT

__all__ = ["folded", "help_text", "is_mixed"]

Fitting = Callable[[str, str], list[str]]
"""From a model's choice, as model=gan, and a group to the options of the group that fit this model."""
SKIPPED = re.compile(r"_target_|_partial_|defaults:|^  - |\$\{")
"""Lines of an option's file that are no settings."""

PACKAGE = re.compile(r"^_target_: (genbench\.\w+)", re.MULTILINE)
"""The package in which an option's own class is."""

HEAD = f"""\
genbench trains, evaluates and compares families of generative image models.

Commands
  {TRAIN}                                   a DDPM on digits, in minutes
  {TRAIN} model=vae data=cifar10            another family, other data
  {TRAIN} budget.images=60000 optim.lr=1e-3 seed=1
                                                   any setting, as KEY=VALUE
  {TRAIN} -m model=ddpm,vae,flow seed=0,1   a sweep: all combinations
  {TRAIN} dry_run=true                      only estimate time and memory
  genbench report runs                             compare the runs in a folder

Help
  {TRAIN} --help schedule loss              the options of groups
  {TRAIN} --help schedule=cosine            settings of an option
  {TRAIN} --help model=gan                  groups that a model accepts
  {TRAIN} --cfg job                         all settings and values

Settings that are often changed
  seed=0  conditional=true  device=cuda  trainer.devices=2 (GPUs of one run)
  budget.images=60000 or budget.seconds=600  trainer.batch_size=64
  optim.lr=1e-3  sampler.steps=20  metrics.samples=10000  tracker=jsonl
  data.root=PATH (of your images, with data=image_folder)
  runs_dir=runs  name=default  rerun=true (a new run; else the same is resumed)

Groups, and their options (GROUP=OPTION)
"""
FOOT = """\
-m runs each combination of values that are separated by commas. The same
command again resumes its own run. -sc install=bash installs completion for the
shell; --hydra-help lists the other options.
"""
WIDTH = 80
FIRST = ("model", "data", "budget", "experiment", "sweep", "metrics", "scores", "features", "tracker")
"""Groups of every run in the order in which they are listed, before all others."""


def help_text(words: Sequence[str], fitting: Fitting | None = None, command: str = TRAIN) -> str:
    """Return the help page; with words that name groups or choose options, the help on these.

    words: `loss` describes each option of this group, `schedule=cosine` this option with its settings,
    `model=gan` lists the groups that a model accepts; settings of keys, such as seed=1, are passed over.
    fitting: from a model's choice and a group to the options of it that fit the model, by default all.
    command: that the examples begin with. Raises ValueError on a group, option or key that is missing.
    """
    named = [word for word in words if not is_setting(word)]
    if not named:
        return "\n".join([HEAD.replace(TRAIN, command), *listed_groups(), FOOT])
    return "\n\n".join(accepted(word, fitting) if "=" in word else described(word) for word in named) + "\n"


def listed_groups() -> list[str]:
    """Return all groups with their options in lines of at most 80 columns, below the models that accept them,
    and the options that make others accept them: those of every run first, then from many models to one.
    """
    accepting: dict[str, list[str]] = {group: [] for group in groups()}
    for model in options("model"):
        for group in set(groups_of("model", model, {})) & accepting.keys():
            accepting[group].append(model)
    ways = brought()
    headings: dict[str, list[str]] = {}
    for group in sorted(
        accepting, key=lambda name: (bool(accepting[name] or name in ways), -len(accepting[name]), name)
    ):
        headings.setdefault(heading(accepting[group], ways.get(group, [])), []).append(group)
    lines = []
    for title, members in headings.items():
        rank = {group: FIRST.index(group) if group in FIRST else len(FIRST) for group in members}
        listed = (listed_group(group) for group in sorted(members, key=lambda name: rank[name]))
        lines += [title, *listed, ""]
    return lines


def brought() -> dict[str, list[str]]:
    """Return the groups that some models accept only with an option of another group, and these choices:
    {"perceptual": ["autoencoder=kl_gan", ..]}. Groups of which most options fit one model alone are left out.
    """
    accepting = [set(groups_of("model", model, {})) for model in options("model")]
    found: dict[str, list[str]] = {}
    for name in sorted(set().union(*accepting) - varying()):
        lacking = [own for own in accepting if name in own]
        for option in options(name):
            for group in dict.fromkeys(groups_of(name, option, {})):
                if any(group not in own for own in lacking):
                    found.setdefault(group, []).append(f"{name}={option}")
    return found


def heading(models: Sequence[str], ways: Sequence[str]) -> str:
    """Return the heading above the groups that these models accept, and others by way of these choices, such
    as autoencoder=kl_gan; none of both stand for what every run has.
    """
    if not models and not ways:
        return "Of every run"
    if len(models) > len(options("model")) / 2:
        return "Of every model that is trained"
    chosen: dict[str, list[str]] = {"model": list(models)} if models else {}
    for group, option in (way.split("=") for way in ways):
        chosen.setdefault(group, []).append(option)
    words = "; ".join(f"{group}={', '.join(several)}" for group, several in chosen.items())
    return fill(f"Of {words}", WIDTH, subsequent_indent="  ")


def listed_group(group: str) -> str:
    """Return a group with its options, with further lines indented to the first option."""
    head = f"  {group:17}"
    return fill(head + ", ".join(options(group)), WIDTH, subsequent_indent=" " * len(head))


def folded(text: str, width: int) -> str:
    """Return text with each line that is wider than `width` columns folded at spaces; its continuation begins
    below the description where the line is a name, two or more spaces and a description.
    """
    lines = []
    for line in text.split("\n"):
        name = re.match(r"\s+\S+\s\s+", line)
        indent = " " * len(name[0] if name else "  ")
        narrow = wrap(line, max(width, 40), subsequent_indent=indent, break_on_hyphens=False)
        lines += [line] if len(line) <= width else narrow
    return "\n".join(lines)


def is_setting(word: str) -> bool:
    """Return True for the setting of a key of a group, or of one that belongs to no group."""
    key, equals, _ = word.lstrip("+~").partition("=")
    root, dot, _ = key.partition(".")
    return bool(equals) and (root in ROOT or root == "hydra" or bool(dot and root in groups()))


def described(group: str) -> str:
    """Return each option of a group with the comment at the top of its file, one a line."""
    if group not in groups():
        raise ValueError(missing(group))
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


def missing(word: str) -> str:
    """Return the message that a word names no group, with the groups; a key is shown by --cfg job."""
    legal = ", ".join(groups())
    near = get_close_matches(word.partition("=")[0], groups(), n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return f"--help {word}: there is no such group: choose from {legal}. {hint}Keys are shown by --cfg job"


def accepted(choice: str, fitting: Fitting | None = None) -> str:
    """Return the comment and the settings of an option, of a choice such as schedule=cosine, and the groups
    that it accepts with the options of each; for a model the groups alone, with the options that fit it.
    """
    group, _, option = choice.partition("=")
    if group not in groups():
        raise ValueError(missing(choice))
    if option not in options(group):
        near = get_close_matches(option, options(group), n=1)
        raise ValueError(
            f"--help {choice}: {option} is not an option of {group}: choose from {', '.join(options(group))}"
            + (f". Did you mean {near[0]}?" if near else f"; {OWN_OPTIONS}")
        )
    differing = varying() if fitting is not None and group == "model" else set()
    lines = []
    for name in dict.fromkeys(groups_of(group, option, {})):
        found = fitting(choice, name) if fitting is not None and name in differing else options(name)
        lines.append(f"  {name}: {', '.join(found)}")
    head = f"{choice} accepts these groups:" if lines else f"{choice} accepts no groups"
    if group == "model":
        return "\n".join([head, *lines])
    about = described(group).splitlines()[1 + options(group).index(option)].split(maxsplit=1)[1]
    return "\n".join([f"{choice}: {about}", *([head, *lines] if lines else []), *settings(group, option)])


def settings(group: str, option: str) -> list[str]:
    """Return the settings in the file of an option, one a line, as they stand there with their comments."""
    path = option_file(group, option)
    assert path is not None
    text = path.read_text().splitlines()
    lines = [f"  {line}" for line in text if line[:1] not in ("#", "") and not SKIPPED.search(line)]
    return [f"its settings, as {group}.KEY=VALUE:", *lines] if lines else []


def varying() -> set[str]:
    """Return the groups of which some options fit some models: those whose default is not the same in all
    models, and those whose options are parts of several families.
    """
    found: dict[str, set[str]] = {}
    for model in options("model"):
        for key, default in defaults("model", model).items():
            found.setdefault(key.partition("@")[0][1:], set()).add(default)
    return {group for group, several in found.items() if len(several) > 1 or is_mixed(group)}


def is_mixed(group: str) -> bool:
    """Return True for a group whose options are built by several packages, as augmentation is by
    genbench.gans and genbench.diffusion; False where an option needs a value of the user's, such as a run,
    without which nobody can tell what it fits.
    """
    texts = [path.read_text() for name in options(group) if (path := option_file(group, name)) is not None]
    packages = {found[1] for text in texts if (found := PACKAGE.search(text)) is not None}
    return len(packages) > 1 and not any("???" in text for text in texts)
