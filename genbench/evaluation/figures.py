"""Figures of curves: noise schedules, scores against cost, terms of a bound; written whole or not at all.

Knows no model and no data set, and imports matplotlib when it is needed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genbench.records.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "Curve",
    "Panel",
    "check_figure",
    "codes_figure",
    "curves_figure",
    "images_figure",
    "is_near",
    "panels_figure",
    "schedule_figure",
]

FEW = 50  # points of a curve up to which each is marked
NEAR = 0.02  # alpha_bar; a width of a line or so
APART = 1.1  # ratio of neighbouring ticks whose numbers do not touch
TICKS = 10  # values of an axis up to which each gets a tick
WIDE = 3.0  # ratio of the largest value to the smallest from which on a logarithmic axis helps
DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = ("-", (0, (6, 2)), (0, (1, 1)), (0, (6, 1, 1, 1)))
MARKERS = "os^DvP*X"
LEVELS = ((":", "black"), ("--", "C1"), ("-.", "C2"))
"""Style and color of the horizontal lines of a panel, without markers: nothing is measured along them."""
CLASSES = (
    ("#0072b2", "o"),
    ("#e69f00", "s"),
    ("#009e73", "^"),
    ("#cc79a7", "D"),
    ("#56b4e9", "v"),
    ("#d55e00", "P"),
    ("#4d4d4d", "*"),
    ("#9c8500", "X"),
    ("#332288", "<"),
    ("#882255", ">"),
)
"""Colours and markers of classes. Colours of Okabe and Ito 2008 first, which the colour-blind tell apart; the
last ones, and classes beyond the tenth, differ from those of similar colour by the marker."""
LISTED = 20  # classes of a legend


class Curve(NamedTuple):
    """A line of a figure: y against x, (N,) each, and the ends of an interval at each point if it has one."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


class Panel(NamedTuple):
    """One of several plots in a row: its title, its lines by name, and its horizontal lines."""

    title: str
    lines: Mapping[str, Curve]
    levels: Mapping[str, float] = MappingProxyType({})
    """Name -> height of a horizontal line, at most as many as LEVELS."""


class Row(NamedTuple):
    """A row of images of a figure: its name, the images, and a text below each of them."""

    name: str
    images: np.ndarray
    """(F, H, W, 1 or 3) uint8."""
    texts: Sequence[str]


class Line(NamedTuple):
    """Look of a line of a figure, by its number and by how many later lines would cover it."""

    number: int
    covering: int

    @property
    def dashes(self) -> str | tuple[int, tuple[int, ...]]:
        """Dashes as matplotlib writes them; a line below another is solid."""
        return "-" if self.covering else DASHES[self.number % len(DASHES)]

    @property
    def width(self) -> float:
        """Width in points, so that a line below others is seen at their sides."""
        return 1.8 + 4.0 * self.covering

    @property
    def colour(self) -> tuple[str, float]:
        """Return the colour of the curve as matplotlib takes it: its name, and its opacity from 0 to 1."""
        return f"C{self.number % 10}", 0.4 if self.covering else 1.0


def is_near(one: np.ndarray, other: np.ndarray) -> bool:
    """Return True for two curves on one grid, (N,) each, that nearly cover each other in a figure."""
    return one.shape == other.shape and bool((abs(one - other) < NEAR).all())


def schedule_figure(schedules: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw alpha_bar and log-SNR = log(alpha_bar / (1 - alpha_bar)) against t / T, a line for each schedule.

    schedules: name -> alpha_bar on the grid 0..T, (T + 1,) float64. Each line has its own colour and dashes;
    one that a later line would cover is wide and pale, and seen at both sides of it. The file's ending
    decides the format (png, pdf, svg, ...).
    """
    # The objects of matplotlib, not pyplot: no global figure, no change of the user's backend.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    tables = [np.asarray(table, dtype=np.float64) for table in schedules.values()]
    for number, (name, alpha_bar) in enumerate(zip(schedules, tables, strict=True)):
        covering = sum(is_near(alpha_bar, later) for later in tables[number + 1 :])
        t, line = np.linspace(0.0, 1.0, len(alpha_bar)), Line(number, covering)
        left.plot(t, alpha_bar, label=name, ls=line.dashes, lw=line.width, c=line.colour)
        inside = (alpha_bar > 0) & (alpha_bar < 1)  # at t = 0 the ratio is infinite
        log_snr = np.log(alpha_bar[inside] / (1 - alpha_bar[inside]))
        right.plot(t[inside], log_snr, ls=line.dashes, lw=line.width, c=line.colour)
    left.set(xlabel="t / T", ylabel=r"$\bar\alpha$", title="share of the data that is left")
    right.set(xlabel="t / T", ylabel=r"log($\bar\alpha$ / (1 - $\bar\alpha$))", title="log-SNR")
    for axes in (left, right):
        axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside right center", title="schedule=", handlelength=4)
    save_figure(figure, path)


def curves_figure(
    lines: Mapping[str, Curve],
    path: Path,
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
    levels: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Plot y against x, one line for each name, with markers and intervals where its points are few, and
    write the figure; the file's ending decides the format.

    x, y: titles of the axes. logarithmic: both axes are, where all values are positive and span a factor of
    3; numbers at their ticks are plain (5, 10, 20). levels: name -> height of horizontal lines, such as the
    score of held-out images.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    draw_curves(axes, Panel(y, lines, levels))
    axes.set(xlabel=x, ylabel=y)
    if logarithmic:
        heights = [*(value for curve in lines.values() for value in curve.y), *levels.values()]
        set_logarithmic(axes, sorted({value for curve in lines.values() for value in curve.x}), heights)
    axes.grid(visible=True, which="both", alpha=0.3)
    save_figure(figure, path)


def panels_figure(panels: Sequence[Panel], path: Path, *, x: str) -> None:
    """Draw several plots beside each other, against the same x, whose title `x` is; axes are linear. The
    file's ending decides the format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(panels), 4.5), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw_curves(axes, panel)
        axes.set(xlabel=x, title=panel.title)
        axes.grid(visible=True, alpha=0.3)
    save_figure(figure, path)


def draw_curves(axes: "Axes", panel: Panel) -> None:
    """Draw the lines of a panel, with markers and intervals where its points are few, and their legend."""
    for number, (name, curve) in enumerate(panel.lines.items()):
        marker = MARKERS[number % len(MARKERS)] if len(curve.x) <= FEW else None
        axes.plot(curve.x, curve.y, marker=marker, label=name)
        if curve.low is not None and curve.high is not None:
            ends = (curve.y - curve.low).clip(min=0), (curve.high - curve.y).clip(min=0)
            axes.errorbar(curve.x, curve.y, yerr=ends, fmt="none", ecolor=f"C{number % 10}", capsize=3)
    for (line, color), (name, height) in zip(LEVELS, panel.levels.items(), strict=False):
        axes.axhline(height, color=color, linestyle=line, label=name)
    axes.legend()


def codes_figure(
    points: np.ndarray,
    path: Path,
    *,
    shares: tuple[float, float],
    labels: np.ndarray | None = None,
    names: Sequence[str] = (),
) -> None:
    """Draw codes as points in the plane of two principal components, a colour and a marker for each class.

    points (N, 2). shares: explained variance of each direction, from 0 to 1, for the titles of the axes.
    labels (N,), None: one colour. names: of the classes, by their numbers; those without one go by these. The
    legend lists the classes that are there, the first 20 of more.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    classes = np.zeros(len(points), dtype=np.int64) if labels is None else np.asarray(labels)
    for place, number in enumerate(np.unique(classes)):
        colour, marker = CLASSES[number % len(CLASSES)][0], CLASSES[sum(divmod(number, len(CLASSES))) % 10][1]
        mine = points[classes == number]
        name = names[number] if number < len(names) else str(number)
        # A name that begins with _ is of no legend, to matplotlib.
        label = None if labels is None or place >= LISTED else name.lstrip("_").replace("$", r"\$")
        axes.scatter(
            mine[:, 0], mine[:, 1], s=22, c=colour, marker=marker, alpha=0.75, linewidths=0, label=label
        )
    one, other = (
        f"principal component {i} ({share:.1%} of the variance)" for i, share in enumerate(shares, 1)
    )
    axes.set(xlabel=one, ylabel=other)
    axes.grid(visible=True, alpha=0.3)
    if labels is not None:
        figure.legend(loc="outside right upper", title="class", markerscale=1.8)
    save_figure(figure, path)


def images_figure(rows: Sequence[Row], path: Path, *, columns: Sequence[str], below: str = "{}") -> None:
    """Draw rows of images, each pixel a square, with names in front of the rows, titles above the columns and
    a text below each image. below: pattern of these texts. All rows have as many images as there are columns.
    """
    from matplotlib.figure import Figure

    # Inches: a tile with its text, and a margin for names.
    figure = Figure(figsize=(1.15 * len(columns) + 1.2, 1.4 * len(rows) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, places in zip(rows, grid, strict=True):
        for axes, image, text in zip(places, row.images, row.texts, strict=True):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(below.format(text), fontsize=9)
        places[0].set_ylabel(row.name.replace("$", r"\$"), rotation=0, ha="right", va="center")
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(title, fontsize=10)
    save_figure(figure, path)


def set_logarithmic(axes: "Axes", across: Sequence[float], up: Sequence[float]) -> None:
    """Make the axes logarithmic whose values span a factor of 3, with plain numbers at their ticks.
    across, up: the values along each; few of them across get a tick each.
    """
    if is_wide(across):
        axes.set_xscale("log")
        apart = [x for i, x in enumerate(across) if i == 0 or x / across[i - 1] >= APART]
        plain_ticks(axes.xaxis, apart if len(apart) <= TICKS else ())
    if is_wide(up):
        axes.set_yscale("log")
        plain_ticks(axes.yaxis, ())


def is_wide(values: Sequence[float]) -> bool:
    """Return True for positive values of which the largest is several times the smallest."""
    return min(values) > 0 and max(values) / min(values) >= WIDE


def plain_ticks(axis: "Axis", values: Sequence[float]) -> None:
    """Put ticks at some values, or at 1, 2, 5, 10, .. without any, and write numbers as 20, not as powers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(FixedLocator(values) if values else LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def check_figure(path: Path) -> None:
    """Raise ValueError where the ending of a file names no format of figures; a name without one is a PNG."""
    from matplotlib.backend_bases import FigureCanvasBase

    legal = FigureCanvasBase.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in legal:
        raise ValueError(
            f"--out {path} ends in {path.suffix}, which names no format of figures: choose from "
            f"{', '.join(legal)}"
        )


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a matplotlib figure to `path` as a whole or not at all; the file's ending decides the format,
    such as png, pdf or svg, and a name without one is a PNG.
    """
    with atomic_file(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:] or "png", dpi=120)
