"""Scores of real held-out images in a table: what the numbers of models are to be read against."""

import math
from collections.abc import Iterator

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import Column
from genbench.report.data_frame import cells
from genbench.report.names import some
from genbench.report.row_names import row_names
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
    """Notes on rows whose FID against the training images is below that of real held-out images, by more than
    its interval or its standard deviation over seeds.
    """
    real = {name: entry.value for _, name, entry in held_out(table)}
    has_copies = any(name.kind == "authenticity" for _, name in metrics(table))
    how = "compare authentic with that of held-out images" if has_copies else "metrics=full counts copies"
    for i, col in enumerate(table.columns):
        least = real.get(col.name)
        if not is_fid_of_training(col) or not isinstance(least, int | float):
            continue
        known = zip(row_names(table), table.entries[i], strict=True)
        below = [name for name, x in known if x.estimate and x.estimate.mean + x.estimate.half_width < least]
        if below:
            yield (
                f"{col.title} below that of real held-out images, by more than its uncertainty: "
                f"{some(below)}. Such samples fit the training images better than other real images do, as "
                f"copies of them would: {how}."
            )


def is_fid_of_training(col: Column) -> bool:
    """True for a column with Frechet distances to training images."""
    name = MetricName.parse(col.name) if is_metric(col.name) else None
    return name is not None and (name.kind, name.ref) == ("fid", "train")
