"""Scores of real held-out images in a table: what the numbers of models are to be read against."""

import math
from collections.abc import Iterator

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import Column
from genbench.report.data_frame import cells
from genbench.report.names import some
from genbench.report.statistics import estimate
from genbench.report.table import Table
from genbench.report.table_cell import Entry

__all__ = ["held_out", "metrics", "nearer"]


def metrics(table: Table) -> list[tuple[Column, MetricName]]:
    """The columns of metrics with what their names say."""
    return [(col, MetricName.parse(col.name)) for col in table.columns if is_metric(col.name)]


def held_out(table: Table) -> Iterator[tuple[str, str, Entry]]:
    """Title, name and score of each metric of real images that no model was trained on."""
    for col, name in metrics(table):
        if col.is_of_best:  # against the same real images as the last weights
            continue
        # The number belongs to the data of a seed, which all runs of that seed share.
        of_test = cells(table.runs.frame, str(name.of_images("test")))
        by_seed = dict(zip(cells(table.runs.frame, "seed"), of_test, strict=True)).values()
        values = [x for x in by_seed if isinstance(x, int | float) and math.isfinite(x)]
        if values:
            yield col.title, col.name, Entry(values[0], estimate(values))


def nearer(table: Table) -> Iterator[str]:
    """Notes on rows whose Frechet distance to the training images is below that of real held-out images."""
    real = {name: entry.value for _, name, entry in held_out(table)}
    for (col, name), i in ((pair, table.columns.index(pair[0])) for pair in metrics(table)):
        least = real.get(col.name)
        if name.kind != "fid" or name.ref != "train" or not isinstance(least, int | float):
            continue
        rows = zip(table.lines, table.entries[i], strict=True)
        below = [line for line, x in rows if isinstance(x.value, int | float) and x.value < least]
        if below:
            names = [str(line.cells("model")[0]) for line in below]
            yield (
                f"Below the {col.title} of real held-out images: {some(names)}. Such samples are nearer to "
                "the training images than other real images are; authentic (metrics=full) says whether they "
                "are copies."
            )
