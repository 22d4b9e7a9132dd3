"""The page docs/configuration.md, written from the files of conf/: `python -m docs_tools.configuration`.

A test compares the page that is committed with what this writes.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from genbench.app.misfit import composed, fits
from genbench.config.groups import defaults, groups, options
from genbench.config.help import described
from genbench.config.option_folders import CONF

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
SECTIONS = {
    "What is trained, on what": ("model", "data", "budget"),
    "Training": ("trainer", "optim", "lr_schedule", "precision"),
    "Evaluation and tracking": ("metrics", "scores", "features", "tracker"),
    "Presets": ("experiment", "sweep"),
    "Networks": ("network", "prior_network"),
}
"""Title of a section -> its groups. All other groups are parts of a family."""
PARTS = "Parts of a family"
EVERY = tuple(name for title, names in SECTIONS.items() if title != "Networks" for name in names)
"""Groups that every run has or may have, whatever its model."""
LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_]\w*): *(?P<value>[^#]*?) *(?:# *(?P<comment>.*))?")

HEAD = """\
# Configuration

<!-- `python -m docs_tools.configuration` writes this page from conf/: change the files there instead. -->

A run is composed of options, one of each group, and of settings. A word of the command line chooses an
option (`GROUP=OPTION`) or changes a setting (`GROUP.KEY=VALUE`). Invalid words are refused before any work,
with what is legal.

```sh
python main.py model=vae likelihood=gaussian network.latent=32 seed=1  # choose and set
python main.py --help  # all groups and their options
python main.py --help schedule loss  # what the options of a group are
python main.py --help model=gan  # the groups that a model accepts
python main.py --cfg job  # the whole configuration of a command
```

The file to read first is `conf/config.yaml`; each group is a folder beside it, each option a file there.
Options of your own, in a folder or a package, are used in the same way ([extending](extending.md)). Settings
tuned for one model on one data set stand in `conf/tuned/` and apply by themselves; `~tuned` leaves them out.
"""


MEANINGS = {
    "width": "channels, of the first level where there are several",
    "blocks": "residual blocks, or layers, of each level",
    "multipliers": "channels per level, as multiples of width; null: by the size of the images",
    "dropout": "share of activations that are set to 0 in training",
    "patch": "P: blocks of PxP pixels are folded into channels; 1: no folding",
    "attention_side": "attention on maps of this side or smaller",
    "latent": "dimensions of the code of an image",
    "components": "components of each mixture",
    "codebook.size": "codes in the codebook",
    "codebook.dimensions": "dimensions of each code",
    "codebook.decay": "decay of the moving averages that update the codes",
    "in_channels": "channels of the latent map",
    "commitment": "weight of the distance between the encoder's outputs and their codes",
    "num_classes": "0: the autoencoder does not see labels",
    "run_dir": "the directory of a finished run",
    "beta": "weight of the KL term",
    "jitter": "added to the variances of the fitted Gaussian",
    "initial_scale": "standard deviation of a pixel before training, in [-1, 1]",
    "min_scale": "smallest standard deviation of a pixel, in [-1, 1]",
    "likelihood.scale": "scale of a pixel, in [-1, 1]",
    "chunk": "images whose probabilities are computed at once",
    "path": "folder of the pipeline, or USER/NAME on the Hub",
    "data.size": "side of the images, in pixels",
    "channels": "3: colour, 1: grey",
    "download": "false: only read what is in root",
    "flip": "mirror half of the training images",
    "root": "folder of the images; null: the cache, for sets that can be downloaded",
    "data.train": "training images",
    "data.test": "held-out images",
    "images": "images seen, over all phases; null: no such limit",
    "seconds": "seconds of training; null: no such limit",
    "flops": "floating-point operations of training; null: no such limit",
    "lr": "learning rate after warm-up",
    "betas": "decay of the moving averages of the gradient and of its square",
    "eps": "added to the root of the averaged square",
    "weight_decay": "weight decay",
    "warmup_images": "images over which the learning rate rises from 0",
    "checkpoint_every_seconds": "seconds between two checkpoints",
    "ema_halflife_images": "half-life of the averaged weights, in images seen",
    "log_every_images": "images between two lines of the log",
    "gain": "bf16 if it is at least this many times as fast",
    "batch_size": "images that are evaluated at once",
    "likelihood_samples": "0: no likelihood is measured",
    "metrics.scores": "none",
    "splits": "number of parts of the samples; the score is the mean over the parts",
    "subset_size": "samples in each random subset",
    "subsets": "number of random subsets; the score is the mean over the subsets",
    "neighbours": "the k of the k nearest neighbours",
    "directions": "random directions of projection",
    "features.seed": "random seed of the classifier's training",
    "mirrors": "further trackers; by default none",
    "required": "true: a run fails at its start if the tracker does not start",
    "project": "project that runs are logged to",
    "minibatch_std": "add the standard deviation over the batch as a channel",
    "spectral_norm": "divide each weight by its largest singular value",
    "saturation": "strength; 0 switches it off",
    "contrast": "strength; 0 switches it off",
    "translation": "largest shift, as a fraction of the image side",
    "cutout": "side of the square that is cut out, as a fraction of the image side",
    "degrees": "degrees of freedom of Student's t",
    "networks.width": "channels of the networks that model the noise",
    "dequantization.steps": "coupling steps of the flow that models the noise",
    "clip_x0": "clip predicted images to [-1, 1]",
    "delta": "the loss is linear for errors above this",
    "levels": "grey levels of a pixel",
    "sigma_data": "standard deviation of the data",
    "mean": "mean of the underlying normal distribution",
    "std": "standard deviation of the underlying normal distribution",
    "gamma": "cap on the signal-to-noise ratio",
    "rho": "larger: shorter steps near the data",
    "steps": "sampling steps",
    "pairing.solver.steps": "sampling steps that make a pair",
    "most": "largest number of steps",
    "T": "steps of the process in training",
    "beta_1": "beta at the first step",
    "beta_T": "beta at the last step",
    "beta_max": "cap on beta",
    "s": "offset that keeps the first steps from being too small",
    "start": "start of the sigmoid's range",
    "end": "end of the sigmoid's range",
    "tau": "temperature of the sigmoid",
    "schedule.width": "units of the monotone network",
}
"""The end of a key -> its meaning, where no file of its group says it; the longest end counts."""


class Setting(NamedTuple):
    """A key of an option's file with its default and its comment; key: dotted below the group."""

    key: str
    default: str
    comment: str


def page() -> str:
    """Return the whole page as Markdown."""
    rest = tuple(group for group in groups() if not any(group in named for named in SECTIONS.values()))
    parts = [HEAD, root(), accepted(), *(section(*each) for each in (SECTIONS | {PARTS: rest}).items())]
    return "\n".join(parts)


def root() -> str:
    """Return the settings that belong to no group: their default and comment in conf/config.yaml."""
    rows = [row for row in settings(CONF / "config.yaml") if "." not in row.key]
    lines = [f"| `{row.key}` | `{row.default}` | {escaped(row.comment)} |" for row in rows]
    return "\n".join(["## Settings of every run\n", *table("key", "default", "meaning"), *lines, ""])


def accepted() -> str:
    """Return a table of the groups that each model accepts beside those of every run, with the defaults."""
    lines = []
    for model in options("model"):
        found = pulled("model", model)
        shown = [
            f"[`{name}`](#{name})={default}"
            for name, default in found.items()
            if name not in ("network", *EVERY)
        ]
        fitting = [
            name for name in options("network") if "network" in found and takes(model, "network", name)
        ]
        lines.append(f"| `{model}` | {', '.join(fitting) or '–'} | {', '.join(shown) or '–'} |")
    head = [
        "## What each model accepts\n",
        f"Every run has, or may have, the groups {', '.join(f'[`{name}`](#{name})' for name in EVERY)}. "
        "A model adds those of its row, here with their defaults; any other group is refused.\n",
    ]
    return "\n".join([*head, *table("model", "networks that fit", "groups and their defaults"), *lines, ""])


def pulled(group: str, option: str, asked: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the groups that an option pulls in, also by way of other options, with the default of each.
    asked: the options that are chosen in place of defaults.
    """
    found: dict[str, str] = {}
    for key, default in read(group, option).items():
        name = key.partition("@")[0].removeprefix("override ").removeprefix("/")
        if name.startswith("tuned"):
            continue
        found[name] = asked.get(name, default)
        if not key.startswith("override"):
            found |= {
                each: what for each, what in pulled(name, found[name], asked).items() if each not in found
            }
    return found


read = cache(defaults)
"""The groups that an option names in its file, read once."""


@cache
def takes(model: str, group: str, option: str) -> bool:
    """Return True where a model takes an option in the place of its default."""
    return fits(of_model(model), group, option, [f"model={model}"])


@cache
def of_model(model: str) -> dict[str, Any]:
    """Return the unresolved configuration of a model with its defaults."""
    return composed([f"model={model}"])


@cache
def users(group: str) -> list[str]:
    """Return the models that accept a group, with the option that it takes where the defaults do not."""
    found = []
    for model in options("model"):
        own = pulled("model", model)
        ways = [
            f"`{model}` with `{name}={option}`"
            for name in own
            for option in options(name)
            if group in pulled("model", model, {name: option}) and takes(model, name, option)
        ]
        found += [f"`{model}`"] if group in own else ways[:1]
    return found


def section(title: str, names: tuple[str, ...]) -> str:
    """Return a section of the page: each of its groups with options and settings."""
    return "\n".join([f"## {title}\n", *(described_group(name) for name in names)])


def described_group(group: str) -> str:
    """Return a group: its heading, the models that accept it, its options and their settings."""
    whose = [] if group in EVERY else [f"Accepted by {', '.join(users(group))}.\n"]
    return "\n".join([f"### {group}\n", *whose, tables(group)])


def tables(group: str) -> str:
    """Return a table of a group's options, and one of their settings where they have any."""
    lines = table("option", "what it is")
    for line in described(group).splitlines()[1:]:
        option, _, text = line.strip().partition(" ")
        lines.append(f"| `{option}` | {escaped(text.strip())} |")
    rows = [] if group in ("experiment", "sweep") else merged(group)
    if rows:
        lines += ["", *table("setting", "default", "of", "meaning")]
        for row, owners in rows:
            of = "all" if len(owners) == len(options(group)) else ", ".join(owners)
            lines.append(f"| `{group}.{row.key}` | `{row.default}` | {of} | {escaped(row.comment)} |")
    return "\n".join([*lines, ""])


def merged(group: str) -> list[tuple[Setting, list[str]]]:
    """Return the settings of a group's options, a shared one once, with the options that each is of."""
    rows = [(row, option) for option in options(group) for row in settings(CONF / group / f"{option}.yaml")]
    said = {row.key: row.comment for row, _ in rows if row.comment}
    found: dict[Setting, list[str]] = {}
    for row, option in rows:
        comment = row.comment or said.get(row.key) or meaning(f"{group}.{row.key}")
        found.setdefault(row._replace(comment=comment), []).append(option)
    return sorted(found.items(), key=lambda item: item[0].key)


def meaning(key: str) -> str:
    """Return the meaning of a dotted key by its longest end that has one. Raises ValueError on any other."""
    parts = key.split(".")
    ends = [".".join(parts[start:]) for start in range(len(parts))]
    found = next((MEANINGS[end] for end in ends if end in MEANINGS), None)
    if found is None:
        raise ValueError(f"{key} has no comment in conf/: write one behind it there")
    return found


def settings(path: Path) -> Iterator[Setting]:
    """Yield the settings that an option's file gives, in its order; references and class paths are none."""
    above: list[tuple[int, str]] = []
    in_own = True
    for line in path.read_text().splitlines():
        found = LINE.fullmatch(line)
        if found is None or line.startswith("#"):
            continue
        indent = len(found["indent"])
        if indent == 0:
            in_own = found["key"] not in ("defaults", "image", "hydra")
        above = [*(each for each in above if each[0] < indent), (indent, found["key"])]
        value = found["value"]
        if in_own and value and not found["key"].startswith("_") and "${" not in value:
            yield Setting(".".join(key for _, key in above), value, found["comment"] or "")


def table(*titles: str) -> list[str]:
    """Return the two lines that begin a table of Markdown."""
    return [f"| {' | '.join(titles)} |", f"| {' | '.join(['---'] * len(titles))} |"]


def escaped(text: str) -> str:
    """Return text as a cell of Markdown shows it, whatever characters it has."""
    return re.sub(r"([|$*_<\[\]])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page())
