"""Figures of the benchmark's pages, as SVG files of the same bytes for the same records."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from benchmarks.publish.swept import Swept
from benchmarks.publish.winners import Measure, Record, model_of, number, score, values_of
from genbench.records.files import atomic_file
from genbench.records.metric_name import MetricName, is_metric
from genbench.report.page.svg import Point, pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "cost_figure",
    "curve_figure",
    "heat_figure",
    "strips_figure",
    "sweep_figure",
]

WIDTH, HEIGHT = 7.2, 4.2
SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "genbench", "font.size": 10}
LOOKS = [f"C{color}{shape}" for shape in ("o-", "s--", "^:") for color in range(10)]
"""Colours of curves, which repeat after ten with other marks and dashes."""
LABEL = 90, 10
"""Width and height of a model's name beside its point, in pixels of the figure."""
Series = Mapping[str, Sequence[tuple[float, float]]]
"""The name of a curve -> its points."""


@contextmanager
def drawn(path: Path, height: float = HEIGHT) -> Iterator["Axes"]:
    """Yield the axes of a new figure, which is written to a file when the block ends."""
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        yield axes
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(content.getvalue())


def lines(series: Series, path: Path, x_title: str, y_title: str, *, log_x: bool, log_y: bool) -> bool:
    """Draw curves with a legend; False, and nothing is written, where there are none."""
    known = {name: sorted(points) for name, points in series.items() if points}
    if not known:
        return False
    looks = {name: LOOKS[i % len(LOOKS)] for i, name in enumerate(sorted(known))}
    with drawn(path) as axes:
        for name in sorted(known, key=lambda name: -known[name][-1][1]):  # the legend as the curves end
            xs, ys = zip(*known[name], strict=True)
            axes.plot(xs, ys, looks[name], markersize=4, label=name, gid=name)
        axes.set(xlabel=x_title, ylabel=y_title)
        positive = all(x > 0 for points in known.values() for x, _ in points)
        axes.set(xscale="log" if log_x and positive else "linear", yscale="log" if log_y else "linear")
        axes.grid(visible=True, alpha=0.3)
        if log_y:
            plain_numbers(axes)
        if log_x and positive:  # the settings that were tried, as they are
            places = sorted({x for points in known.values() for x, _ in points})
            axes.set_xticks(places, [f"{x:g}" for x in places])
            axes.set_xticks([], minor=True)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))  # beside the curves
    return True


def plain_numbers(axes: "Axes") -> None:
    """Write the marks of a logarithmic axis of FIDs as 20 and 30, in the place of 2 x 10^1 and 3 x 10^1."""
    for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        which("{x:g}")


def curve_figure(records: Sequence[Record], path: Path) -> bool:
    """Draw the FID of evaluations on the way over the seconds of training, a curve for each model, of its
    first seed: quick ones, or validations; False where no run had any.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for record in first_seeds(records):
        for event in record["events"]:
            values = [x for name, x in event.items() if is_fid_on_the_way(name)]
            if values and "training_seconds" in event and number(values[0]) is not None:
                series.setdefault(model_of(record), []).append((event["training_seconds"], values[0]))
    return lines(
        series, path, "seconds of training", "FID of few samples, first seed ↓", log_x=False, log_y=True
    )


def is_fid_on_the_way(name: str) -> bool:
    """Return True for the FID of averaged weights that a quick evaluation or a validation logged."""
    head, _, metric = name.partition("/")
    if head not in ("training", "validation") or not is_metric(metric):
        return False
    found = MetricName.parse(metric)
    return found.kind == "fid" and found.of == "ema" and found.ref != "test"


def first_seeds(records: Sequence[Record]) -> list[Record]:
    """Return the first run of each model, by its seed."""
    found: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: str(record["about"].get("seed"))):
        found.setdefault(model_of(record), record)
    return [found[name] for name in sorted(found)]


def cost_figure(records: Sequence[Record], path: Path) -> bool:
    """Draw the FID against the seconds of a sample, a point for each model with the range over its seeds,
    and the Pareto front with its points in red; False where fewer than two models have both.
    """
    seconds = Measure("s", -1, lambda record: number(record["result"]["cost"].get("seconds_per_image")))
    finished = [record for record in records if record.get("result")]
    fids, costs = values_of(finished, score("fid")), values_of(finished, seconds)
    names = sorted(fids.keys() & costs.keys())
    if len(names) < 2:
        return False
    points = [
        Point(i, name, mean(costs[name]), mean(fids[name]), min(fids[name]), max(fids[name]))
        for i, name in enumerate(names)
    ]
    with drawn(path) as axes:
        front = pareto_front(points, -1)
        axes.step([p.x for p in front], [p.y for p in front], where="post", color="grey", gid="front")
        for p in points:
            axes.plot([p.x, p.x], [p.low, p.high], color="silver", gid=f"range-{p.name}")
            axes.plot([p.x], [p.y], "o", color="C3" if p in front else "C0", gid=p.name)
        axes.set(xscale="log", yscale="log", xlabel="seconds of a sample ↓", ylabel="FID ↓")
        axes.margins(x=0.2)  # room for the names
        name_points(points, axes)
        plain_numbers(axes)
        axes.grid(visible=True, alpha=0.3)
    return True


def name_points(points: Sequence[Point], axes: "Axes") -> None:
    """Write the names of points on their right, or on their left where another point is in the way."""
    axes.autoscale_view()  # the limits that the points are drawn with
    places = axes.transData.transform([(p.x, p.y) for p in points])
    for p, (x, y) in zip(points, places, strict=True):
        is_free = not any(0 < a - x < LABEL[0] and abs(b - y) < LABEL[1] for a, b in places)
        shift, side = ((5, 3), "left") if is_free else ((-5, 3), "right")
        axes.annotate(p.name, (p.x, p.y), shift, textcoords="offset points", ha=side, fontsize=8)


def heat_figure(records: Sequence[Record], rows: str, columns: str, path: Path) -> bool:
    """Draw the mean FID of each option of a group against each of another one as a map with its numbers;
    False where a group has no two options.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for record in records:
        if not record.get("result"):
            continue
        choices, value = record["result"]["choices"], score("fid").read(record)
        if value is not None:
            found.setdefault((choices.get(rows, "?"), choices.get(columns, "?")), []).append(value)
    down, across = (sorted({key[i] for key in found}) for i in (0, 1))
    if min(len(down), len(across)) < 2:
        return False
    means = [[mean(found.get((a, b), [math.nan])) for b in across] for a in down]
    with drawn(path, height=0.7 * len(down) + 1.4) as axes:
        shown = axes.imshow(means, cmap="viridis_r", aspect="auto")
        axes.set_xticks(range(len(across)), across)
        axes.set_yticks(range(len(down)), down)
        axes.set(xlabel=columns, ylabel=rows, title="FID ↓, mean over seeds")
        for i, line in enumerate(means):
            for j, value in enumerate(line):
                is_dark = shown.norm(value) > 0.5  # high values are dark in this map of colours
                text, color = "–" if math.isnan(value) else f"{value:.3g}", "white" if is_dark else "black"
                axes.text(j, i, text, ha="center", va="center", color=color)
    return True


def sweep_figure(records: Sequence[Record], swept: Swept, path: Path) -> bool:
    """Draw the FID of each setting of a sweep over sampling, a curve for each model, the mean of its runs;
    False where no run was swept.
    """
    found = swept.scores(records, "fid")
    series = {name: [(at, mean(values)) for at, values in places.items()] for name, places in found.items()}
    return lines(series, path, swept.title, "FID ↓", log_x=True, log_y=True)


def strips_figure(strips: Mapping[str, Path], path: Path) -> bool:
    """Put rows of samples, one a model, below one another with the names in front, as one PNG; False where
    there are none.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not strips:
        return False
    pictures = {name: Image.open(file).convert("L") for name, file in strips.items()}
    left, gap = 130, 4
    width = left + max(picture.width for picture in pictures.values())
    height = sum(picture.height + gap for picture in pictures.values())
    whole, top = Image.new("L", (width, height), 255), 0
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(13)
    for name, picture in pictures.items():
        whole.paste(picture, (left, top))
        pen.text((4, top + picture.height // 2 - 8), name, fill=0, font=font)
        top += picture.height + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        whole.save(file, format="PNG", optimize=True)
    return True
