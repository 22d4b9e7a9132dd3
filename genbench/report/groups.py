"""Columns that tell runs apart, and the parts of a directory of runs whose numbers may stand in one table."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import AXES, COSTS, measured_metrics, shown_metrics
from genbench.report.data_frame import Cell, DataFrame, cells, distinct, exact, groups, present
from genbench.report.runs import Runs

__all__ = ["axes", "constants", "data_sets", "data_titles", "identifying", "pooled", "protocols", "unseen"]

NO_AXES = ("tracker", "status", "run", "group", "seed", "identity", *COSTS)  # tell no rows apart
DATA = ("data", "data_name", "data_key")
LAST = (
    "experiment",
    "sweep",
    "budget",
    "metrics",
    "precision",
    "trainer",
)  # tell runs apart only where no others do


def identifying(runs: Runs) -> list[str]:
    """Return the columns in which runs may differ other than in their seed: choices first, then settings.

    Choices that change no number are left out; groups that follow from others as a rule come last.
    """
    choices = [name for name in runs.choices if name not in NO_AXES and not is_metric(name)]
    names = dict.fromkeys([*(name for name in AXES if name in choices), *choices, *runs.settings])
    # A stable sort: what is LAST goes behind the rest, its choices before its settings as all choices are.
    return sorted(names, key=lambda name: name.partition(".")[0] in LAST)


def axes(runs: Runs) -> list[str]:
    """Return the fewest columns, in order, that tell runs apart: each splits what those before it leave.

    Thus what a choice brings with it, such as a model's own learning rate, takes no column.
    """
    keys = exact(runs.frame, identifying(runs))
    found: list[str] = []
    parts = 1
    for name in keys.columns[keys.nunique() > 1]:
        split = keys.groupby([*found, name], sort=False).ngroups
        if split > parts:
            found, parts = [*found, name], split
    return found


def data_sets(runs: Runs) -> list[tuple[str, Runs]]:
    """Return the runs of each set of images under its name, by name; numbers of two sets never compare.

    Names are those of `data_titles`.
    """
    names = ["data", *of_images(runs)]
    parts = [runs.with_frame(runs.frame.iloc[places]) for places in groups(runs.frame, names)]
    return sorted(zip(data_titles(parts), parts, strict=True), key=lambda pair: pair[0])


def of_images(runs: Runs) -> list[str]:
    """Return the settings of the images that numbers are measured against; the share of the training split
    that is held back for validation is none, scores are against all of the split.
    """
    return [name for name in runs.settings if name.startswith("data.") and name != "data.validation"]


def data_titles(parts: Sequence[Runs]) -> list[str]:
    """Return the name of the images of each of several parts of runs: digits_binary, cats_32px.

    parts: runs of one set of images each. Where sets share a name, the settings in which they differ stand
    behind it, or the beginning of the hash of their images, for folders that are called alike.
    """
    names = sorted({name for runs in parts for name in of_images(runs)})
    firsts = [{name: cells(runs.frame, name)[0] for name in (*DATA, *names)} for runs in parts]
    titles = [str(first["data_name"] or first["data"] or "") for first in firsts]
    alike = {repr([first[name] for name in ("data", *names)]) for first in firsts}
    if len(alike) == 1:
        return titles
    # Settings first, but for the path, which says more of a machine than of the images.
    keys = [str(first["data_key"] or "")[:6] for first in firsts]  # as folders of the cache have it, too
    paths = [hashlib.sha256(str(first.get("data.root")).encode()).hexdigest()[:6] for first in firsts]
    for details in (settings_in_which_twins_differ(titles, firsts, names), keys, paths):
        twins = {
            title: {more for name, more in zip(titles, details, strict=True) if name == title}
            for title in titles
        }
        titles = [
            f"{title} ({more})" if len(twins[title]) > 1 and more else title
            for title, more in zip(titles, details, strict=True)
        ]
    return titles


def settings_in_which_twins_differ(
    titles: Sequence[str], firsts: Sequence[Mapping[str, Cell]], names: Sequence[str]
) -> list[str]:
    """Return for each set of images its settings in which those of the same title differ: "flip=false".

    titles, firsts: one each a set, its title and its values by their names; the path data.root is not text.
    """
    found = []
    for title, first in zip(titles, firsts, strict=True):
        twins = [other for name, other in zip(titles, firsts, strict=True) if name == title]
        differ = [
            name for name in names if name != "data.root" and any(x[name] != first[name] for x in twins)
        ]
        words = (f"{name.removeprefix('data.')}={str(first[name]).lower()}" for name in differ)
        found.append(", ".join(words))
    return found


def protocols(runs: Runs) -> list[tuple[str, Runs]]:
    """Return the runs of each protocol of the first metric, which is their title where there are several.

    Metrics of later evaluations move no run, they are further columns of its table. Runs without any metric
    stand with those of the first protocol.
    """
    own = own_bases(runs)
    known = list(dict.fromkeys(filter(None, own)))
    if len(known) < 2:
        return [("", runs)]
    return [(x, runs.with_frame(runs.frame.loc[[(y or known[0]) == x for y in own]])) for x in known]


def own_bases(runs: Runs) -> list[str]:
    """Return for each run features and number of images of its first metric, "" without any; of a run with
    several feature networks those that most runs share, so that it stands in the table of these.
    """
    names = shown_metrics(measured_metrics(runs.frame.columns), runs.kinds)
    owned = [(MetricName.parse(name), runs.own(name)) for name in names]
    several: list[list[str]] = []
    for place in range(len(runs.frame)):
        metrics = [metric for metric, is_own in owned if is_own[place]]
        same = [metric.basis for metric in metrics if metric.value_kind == metrics[0].value_kind]
        several.append(list(dict.fromkeys(same)))
    shared = Counter(basis for bases in several for basis in bases)
    return [max(bases, key=shared.__getitem__, default="") for bases in several]


def unseen(runs: Runs, shown: Sequence[str]) -> list[str]:
    """Return the columns in which runs that have a value there differ, but for those that a table shows."""
    names = [name for name in identifying(runs) if name not in shown]
    return [name for name in names if len(distinct(present(cells(runs.frame, name)))) > 1]


def pooled(runs: Runs, parts: Sequence[DataFrame]) -> list[str]:
    """Return the columns in which runs of one group differ; parts: the rows of each group of these runs."""
    number = {row: i for i, rows in enumerate(parts) for row in rows.index}
    keys = exact(runs.frame, identifying(runs)).loc[list(number)]
    # Of a column that is alike inside each group there are as many pairs of group and value as groups.
    return [
        name for name in keys.columns if len({*zip(number.values(), keys[name], strict=True)}) > len(parts)
    ]


def constants(runs: Runs, names: Sequence[str]) -> dict[str, Cell]:
    """Return those of some columns that are the same, and there, in all trained runs, with their values."""
    frame = runs.trained.frame
    found = {name: distinct(cells(frame, name)) for name in names}
    return {name: values[0] for name, values in found.items() if len(values) == 1 and values[0] is not None}
