"""Sweeps over the sampling of a finished run: where a record has their tables, and what stands in them."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.publish.winners import Record, model_of
from genbench.records.metric_name import MetricName, is_metric, of_ema

__all__ = ["SCALES", "STEPS", "Swept"]


class Swept(NamedTuple):
    """A sweep over sampling: the file of its table in the directory of a run, the column that varies, and its
    title.
    """

    file: str
    column: str
    title: str

    def scores(self, records: Sequence[Record], kind: str) -> dict[str, dict[float, list[float]]]:
        """Return the numbers of a kind of score by model and by the value of the column, one a run."""
        found: dict[str, dict[float, list[float]]] = {}
        for record in records:
            for row in csv.DictReader(io.StringIO(record["files"].get(self.file, ""))):
                known = {name: float(text) for name, text in row.items() if is_metric(name) and text}
                against = {name: x for name, x in known.items() if MetricName.parse(name).ref != "test"}
                if (value := of_ema(against).get(kind)) is not None:
                    places = found.setdefault(model_of(record), {})
                    places.setdefault(float(row[self.column]), []).append(value)
        return found


SCALES = Swept("sampler_sweeps/scales/table.csv", "guidance.scale", "scale of guidance")
STEPS = Swept("sampler_sweeps/steps/table.csv", "passes", "network evaluations per sample")
