"""The generated parts of docs/families/: settings as conf/ declares them, and rows of the results.

`python -m docs_tools.figures.pages` writes them anew between their marks, and changes nothing else of a page.
The results are docs/results/families.txt, the output of `genbench report RUNS --by model --format md`, and
docs/results/equal_budget.txt, the same of runs with budget.images=60000.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import isabstract
from pathlib import Path
from pydoc import locate
from typing import Any, cast

import yaml
from hydra import compose
from omegaconf import OmegaConf

from genbench.app import seeded_model
from genbench.app.misfit import fitting
from genbench.app.search_path import composing
from genbench.config.groups import defaults, option_file, options, settings_of
from genbench.config.help import is_mixed
from genbench.diffusion.guidance import GuidedProcess
from genbench.families.diffusion import Denoising
from genbench.generator import Generator

__all__ = ["FOLDER", "RESULTS", "page", "row", "settings", "table"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER, RESULTS = DOCS / "families", DOCS / "results" / "families.txt"
EQUAL, EQUAL_BUDGET = DOCS / "results" / "equal_budget.txt", "60,000 images"
OF_SEVERAL = {"network": -1, "process": 0, "flow": 0}
"""Groups whose options are of several families -> which abstract base of the default's class they share."""
SHARED = ("optim", "lr_schedule", "trainer", "budget")
"""Groups that every trained family accepts; docs/configuration.md has them."""
MARK = re.compile(r"(?s)<!-- generated: (\w+) -->\n.*?<!-- end -->")


def main() -> None:
    """Write the generated parts of all pages of families anew."""
    for path in sorted(FOLDER.glob("*.md")):
        path.write_text(page(path))


def page(path: Path) -> str:
    """Return the text of a page with its generated parts as they should be."""
    parts: Mapping[str, Callable[[str], str]] = {
        "settings": settings,
        "row": row,
        "table": lambda _: table(RESULTS),
        "equal": lambda _: f"{EQUAL.read_text().splitlines()[0]}\n\n{table(EQUAL)}",
    }

    def part(found: re.Match[str]) -> str:
        return f"<!-- generated: {found[1]} -->\n{parts[found[1]](path.stem)}\n<!-- end -->"

    return MARK.sub(part, path.read_text())


def settings(family: str) -> str:
    """Return a table of the groups that a family accepts with their options, and of its own settings."""
    lines = ["| key | default | other options, or meaning |", "| --- | --- | --- |"]
    for group, default in chosen(family).items():
        others = ", ".join(
            f"`{name}`"
            for name in options(group)
            if name != default and fits(group, default, name) and not is_refused(family, group, name)
        )
        keys = ", ".join(f"`{key}={value}`" for key, value in numbers(group, default).items())
        lines.append(f"| `{group}` | `{default}`{f' ({keys})' if keys else ''} | {others or '–'} |")
    lines += [f"| `model.{key}` | `{value}` | {comment} |" for key, value, comment in own(family)]
    return "\n".join([*lines, *tuned(family)])


def chosen(family: str) -> dict[str, str]:
    """Return the groups that a family accepts, without those of every family, with their defaults."""
    found = dict[str, str]()

    def add(group: str, option: str) -> None:
        for key, default in defaults(group, option).items():
            name = key.removeprefix("override ").partition("@")[0][1:]
            if name.startswith("tuned/"):  # defaults that depend on what is modelled
                add(name, default)
            elif key.startswith("override"):
                found.update({name: default} if name in found else {})
            elif name not in SHARED:
                found[name] = default
                add(name, default)

    add("model", family)
    return found


def fits(group: str, default: str, option: str) -> bool:
    """Return True for an option that may stand where the default does: of the folders whose options are of
    several families, one whose classes have the abstract base of the default's.
    """
    if group not in OF_SEVERAL:
        return True
    mine, theirs = classes(content_of(group, default)), classes(content_of(group, option))
    place = OF_SEVERAL[group]
    return mine.keys() == theirs.keys() and all(issubclass(theirs[k], base(mine[k], place)) for k in mine)


def is_refused(family: str, group: str, option: str) -> bool:
    """Return True for a part of another family, such as an augmentation, and for a guidance that a family
    cannot have: by a classifier where it is not built with one, by a worse model where a model of this kind
    cannot guide.
    """
    if is_mixed(group):
        return option not in fitting(f"model={family}", group)
    if group != "guidance" or option in ("none", "classifier_free"):
        return False
    if option == "auto":
        model = built(family)
        return not (isinstance(model, Denoising) and isinstance(model.process, GuidedProcess))
    return built(family, "guidance=classifier") is None


@cache
def built(family: str, *words: str) -> Generator | None:
    """Return the model of a family with labels, on small images; None where it is refused."""
    with composing():
        cfg = compose("config", overrides=[f"model={family}", "conditional=true", *words])
    OmegaConf.update(cfg, "image", {"shape": [1, 8, 8], "num_classes": 10})
    try:
        return seeded_model(cfg)
    except ValueError:
        return None


def classes(content: Mapping[str, Any]) -> dict[str, type]:
    """Return the class that an option builds, or those of its parts, by their places; a place also says
    whether arguments are missing.
    """
    if "_target_" in content:
        return {f"_target_{content.get('_partial_', '')}": cast("type", locate(content["_target_"]))}
    parts = {key: value for key, value in content.items() if isinstance(value, Mapping)}
    return {f"{key}.{k}": cls for key, part in parts.items() for k, cls in classes(part).items()}


def base(cls: type, place: int) -> type:
    """Return an abstract base of a class, the nearest (0) or the last (-1); where it has none, its farthest
    base in the package, which may be itself.
    """
    found = [*filter(isabstract, cls.__mro__)]
    return found[place] if found else [c for c in cls.__mro__ if c.__module__.startswith("genbench")][-1]


def numbers(group: str, option: str) -> dict[str, str]:
    """Return the numbers that an option sets itself; what refers to other places is left out."""
    content = content_of(group, option)
    found = {key: value for key, value in content.items() if isinstance(value, int | float)}
    return {key: text(value) for key, value in found.items() if key not in ("_partial_", "num_classes")}


def own(family: str) -> list[tuple[str, str, str]]:
    """Return the settings in a model's own file: key, value, and the comment beside it."""
    path = option_file("model", family)
    lines = path.read_text().splitlines() if path else []
    found = flat({key: content_of("model", family)[key] for key in settings_of("model", family)})
    return [(key, text(value), comment(lines, key.rpartition(".")[2])) for key, value in found.items()]


def tuned(family: str) -> list[str]:
    """Return a sentence for each data set on which a family has settings of its own, with these."""
    found = []
    for name in options("tuned"):
        model, _, data = name.rpartition("_")
        if model == family:
            said = ", ".join(f"`{key}={text(v)}`" for key, v in flat(content_of("tuned", name)).items())
            where = f"data={data}" if data in options("data") else f"experiment={data}"
            found.append(f"\nOn `{where}` these are set too: {said} (`~tuned` leaves them out).")
    return found


def flat(tree: Mapping[str, Any], top: str = "") -> dict[str, object]:
    """Return the plain values in a tree by their dotted keys; references, lists and classes are left out."""
    found = dict[str, object]()
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{top}{key}.")
        elif not key.startswith("_") and not isinstance(value, list) and "${" not in str(value):
            found[f"{top}{key}"] = value
    return found


def text(value: object) -> str:
    """Write a value as the command line takes it: null, true, 0.5."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return f"{value:g}" if isinstance(value, float) else str(value)


def comment(lines: Sequence[str], key: str) -> str:
    """Return the comment behind a key in the lines of a file, or a dash."""
    line = next((line for line in lines if re.match(rf"\s*{key}:", line) and "#" in line), "# –")
    return line.partition("#")[2].strip()


def content_of(group: str, option: str) -> dict[str, Any]:
    """Return what the file of an option says, without its list of defaults."""
    path = option_file(group, option)
    content = {} if path is None else yaml.safe_load(path.read_text())
    return {key: value for key, value in content.items() if key != "defaults"}


def table(results: Path) -> str:
    """Return a table of results without its notes; a family's name leads to its page."""
    lines = [line for line in results.read_text().splitlines() if line.startswith("|")]
    linked = [re.sub(r"^\| (\w+) +\|", r"| [\1](\1.md) |", line) for line in lines[2:]]
    return re.sub(" +", " ", "\n".join([*lines[:2], *linked])).replace("¹", "")


def row(family: str) -> str:
    """Return the rows of a family, at its own budget and at the equal one where that is another, without the
    columns that do not exist for it.
    """
    own, equal = measured(family, RESULTS), measured(family, EQUAL)
    names = [name for name, value in own.items() if name != "model" and value != "n/a"]
    rows = [own] if own["budget"] == EQUAL_BUDGET else [own, equal | {"budget": EQUAL_BUDGET}]
    lines = [names, ["---:"] * len(names), *([one[name] for name in names] for one in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured(family: str, results: Path) -> dict[str, str]:
    """Return the row of a family in a table of results: the name of each column -> its value."""
    names, _, *rows = [line.strip("| ").split(" | ") for line in table(results).splitlines()]
    own = next(one for one in rows if one[0] == f"[{family}]({family}.md)")
    return dict(zip(names, own, strict=True))


if __name__ == "__main__":
    main()
