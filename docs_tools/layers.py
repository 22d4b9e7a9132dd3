"""The figure docs/img/layers.png: folders of genbench in layers, read from the imports of the code.

`python -m docs_tools.layers` draws it. A folder stands one layer above the highest folder that it imports.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "genbench"
FIGURE = ROOT / "docs" / "img" / "layers.png"
MATHEMATICS = {
    "probability",
    "diffusion",
    "flows",
    "vaes",
    "gans",
    "autoregressive",
    "nn",
    "families",
    "text",
    "generator",
}
COLOURS = {
    "entry points and configuration": ("#e8e2f5", {"cli", "api", "app", "config", "scaffold", "contract"}),
    "models: networks and mathematics": ("#dcecf9", MATHEMATICS),
    "a run: data, training, evaluation": (
        "#dff2e1",
        {"session", "training", "evaluation", "metrics", "data"},
    ),
    "records, reports and the machine": (
        "#fbead2",
        {"records", "report", "tracking", "runtime", "errors"},
    ),
}
"""Meaning of a colour in the figure -> the colour, and the folders that have it."""


def main() -> None:
    """Write the figure."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import FancyBboxPatch, Patch

    rows = layers(imported())
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(rows) + 0.7), dpi=110)
    for height, names in enumerate(rows):
        for place, name in enumerate(sorted(names, key=colour)):
            x = place - (len(names) - 1) / 2
            box = FancyBboxPatch(
                (x - 0.46, height - 0.28), 0.92, 0.56, boxstyle="round,pad=0,rounding_size=0.1"
            )
            box.set(facecolor=colour(name), edgecolor="#555555", linewidth=0.8)
            axes.add_patch(box)
            axes.text(x, height, name, ha="center", va="center", fontsize=9)
    handles = [
        Patch(facecolor=found, edgecolor="#555555", label=label) for label, (found, _) in COLOURS.items()
    ]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False, fontsize=9
    )
    widest = max(map(len, rows)) / 2
    axes.set(xlim=(-widest, widest), ylim=(-0.5, len(rows) - 0.5))
    axes.axis("off")
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, bbox_inches="tight")


def colour(name: str) -> str:
    """Return the colour of a folder. Raises ValueError on one that COLOURS does not have."""
    for found, names in COLOURS.values():
        if name in names:
            return found
    raise ValueError(f"{name} has no colour: add it to COLOURS in docs_tools/layers.py")


def imported() -> dict[str, set[str]]:
    """Return each folder, or module that lies beside them, with those that it imports."""
    parts = {path.stem for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} | {
        "generator",
        "errors",
    }
    return {
        part: {name for path in files(part) for name in names(path) if name in parts} - {part}
        for part in sorted(parts)
    }


def files(part: str) -> list[Path]:
    """Return the modules of a folder, or the one module of this name."""
    return (
        [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").is_file() else [*(PACKAGE / part).rglob("*.py")]
    )


def names(path: Path) -> Iterator[str]:
    """Yield the first name below genbench of all that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("genbench"):
            yield from (f"{node.module}.{alias.name}".split(".")[1] for alias in node.names)


def layers(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the folders in layers from below: each imports layers below its own alone."""
    rows, placed = list[list[str]](), set[str]()
    while len(placed) < len(edges):
        row = [name for name, targets in edges.items() if name not in placed and targets <= placed]
        if not row:
            raise ValueError(f"{sorted(set(edges) - placed)} import each other in a circle")
        rows.append(row)
        placed |= set(row)
    return rows


if __name__ == "__main__":
    main()
