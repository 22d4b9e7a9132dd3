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
    "Networks": ("network", "prior_network", "vector_network", "guidance_network"),
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
python main.py --help loss=huber  # the settings of an option
python main.py --help model=gan  # the groups that a model accepts
python main.py --cfg job  # the whole configuration of a command
```

The file to read first is `conf/config.yaml`; each group is a folder beside it, each option a file there.
Options of your own, in a folder or a package, are used in the same way ([extending](extending.md)). Settings
tuned for one model on one data set stand in `conf/tuned/` and apply by themselves; `~tuned` leaves them out.
"""


MEANINGS = {
    "width": "channels, of the first level where there are several",
    "blocks": "residual blocks or layers, in each level where there are several",
    "group_size": "channels of each group of the 3x3 convolutions inside the blocks, which have 2 width",
    "multipliers": "channels of each level over width; null: 1, 2, 2, .. down to a map of 4x4",
    "discriminator.multipliers": "channels of each map over width, from the largest; "
    "null: 1, 2, 4, .. (dcgan), all 1 (others)",
    "dropout": "share of activations that are set to 0 in training",
    "patch": "side of the squares of pixels that are folded into channels before the first layer",
    "attention_side": "largest side of a map on which attention is used",
    "latent": "numbers in the latent (the code) of an image",
    "components": "components of each mixture",
    "codebook.size": "codes in the codebook",
    "codebook.dimensions": "numbers in each code",
    "codebook.decay": "decay of the moving averages by which the codes follow the encoder, per step",
    "in_channels": "channels of the latent map",
    "commitment": "weight of the squared distance between the encoder's outputs and their codes",
    "num_classes": "0: the autoencoder does not see labels",
    "beta": "weight of the KL term",
    "jitter": "share of the mean variance that is added to each variance of the fitted Gaussian",
    "initial_scale": "learned scale of a pixel's distribution at the start; pixels are in [-1, 1]",
    "min_scale": "smallest scale of a pixel's distribution; pixels are in [-1, 1]",
    "likelihood.scale": "fixed scale by which the distance of a pixel is divided; pixels are in [-1, 1]",
    "chunk": "grey levels whose probabilities are computed at once",
    "data.size": "side of the images, in pixels",
    "channels": "3: colour, 1: grey",
    "download": "false: read only what root, or the cache, holds",
    "flip": "mirror training images at random, half of them",
    "root": "folder of the images; null: the cache, into which sets with a download are loaded",
    "data.train": "training images",
    "data.test": "held-out images",
    "images": "images seen, over all phases; null: no such limit",
    "seconds": "seconds of training; null: no such limit",
    "flops": "floating-point operations of training; null: no such limit",
    "lr": "learning rate after the warm-up",
    "betas": "decay of the moving averages of the gradient and of its square",
    "eps": "added to the root of the averaged square",
    "weight_decay": "strength of the pull of weights to 0: within the gradient (adam), or apart (adamw)",
    "warmup_images": "images over which the learning rate rises from 0",
    "checkpoint_every_seconds": "seconds between two checkpoints, at least",
    "ema_halflife_images": "half-life of the averaged weights, in images seen",
    "log_every_images": "images between two lines of the log",
    "gain": "bf16 if it is at least this many times as fast",
    "batch_size": "images that are evaluated at once",
    "likelihood_samples": "test images for likelihood and reconstruction; null: all, 0: neither",
    "metrics.scores": "no scores of samples",
    "splits": "parts of the samples, over whose scores the mean is taken",
    "subset_size": "samples in each subset",
    "subsets": "random subsets, over which the mean is taken",
    "neighbours": "the k of the k nearest neighbours",
    "directions": "random directions of projection",
    "features.seed": "of the classifier's training",
    "mirrors": "trackers beside metrics.jsonl: none",
    "required": "true: a run does not begin where the tracker does not start",
    "project": "project that runs are logged to",
    "minibatch_std": "add the standard deviation over the batch as a channel",
    "spectral_norm": "divide each weight by its largest singular value",
    "saturation": "largest change of colourfulness; 0: none",
    "contrast": "largest change of contrast; 0: none",
    "translation": "largest shift, as a share of the side; 0: none",
    "cutout": "side of the rectangle that is cut out, as a share of the image's; 0: none",
    "degrees": "degrees of freedom of Student's t",
    "networks.width": "channels of the networks that learn the noise",
    "dequantization.steps": "couplings of the flow that makes the noise",
    "clip_x0": "clip predicted images to [-1, 1]",
    "delta": "error above which the loss is linear",
    "levels": "grey levels of a pixel",
    "sigma_data": "standard deviation of the data",
    "path_times.mean": "mean of the logit of t, which has a normal distribution",
    "path_times.std": "standard deviation of the logit of t",
    "times.mean": "mean of ln sigma, which has a normal distribution",
    "times.std": "standard deviation of ln sigma",
    "gamma": "cap on the signal-to-noise ratio",
    "rho": "the larger, the shorter the steps near the data",
    "steps": "steps of sampling",
    "pairing.solver.steps": "steps with which pairs are made",
    "most": "steps after which a sample ends with an error",
    "T": "steps of the process in training",
    "beta_1": "beta at the first step",
    "beta_T": "beta at the last step",
    "beta_max": "cap on beta",
    "s": "offset that keeps the first steps from being too small",
    "start": "argument of the sigmoid at the data",
    "end": "argument of the sigmoid at the noise",
    "tau": "temperature of the sigmoid: its argument is divided by it",
    "schedule.width": "units of the monotone network",
}
"""The end of a key -> its meaning, where its own file does not say it; the longest end counts."""


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
        if name.startswith("tuned"):  # settings of a model and its data; some choose options too
            found |= pulled(name, default) if key.startswith("override") else {}
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
    by = [] if group in EVERY else users(group)
    whose = [f"Accepted by {', '.join(by)}.\n"] if by else []
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
        # The comment of another option may speak of that option alone.
        comment = row.comment or meaning(f"{group}.{row.key}") or said.get(row.key)
        if comment is None:
            raise ValueError(f"{group}.{row.key} has no comment in conf/: write one behind it there")
        found.setdefault(row._replace(comment=comment), []).append(option)
    return sorted(found.items(), key=lambda item: item[0].key)


def meaning(key: str) -> str | None:
    """Return the meaning of a dotted key by its longest end that has one; None where no end has one."""
    parts = key.split(".")
    ends = [".".join(parts[start:]) for start in range(len(parts))]
    return next((MEANINGS[end] for end in ends if end in MEANINGS), None)


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
