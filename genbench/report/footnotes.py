"""Footnotes of a table: its protocol, how to read it, and what is not in it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import CONVERGED_BITS, MEASURES, column
from genbench.report.entry import NOT_MEASURED, Entry
from genbench.report.frame import cells
from genbench.report.groups import pooled, unseen
from genbench.report.numbers import parts, whole, written
from genbench.report.statistics import estimate
from genbench.report.table import Table

__all__ = ["counted_once", "left_out", "not_shown", "notes", "some"]

DIMENSIONS = {"inception": 2048, "dinov2": 384, "cnn": 64}  # of features, by a word of their name
FEW = 10  # samples per feature below which a Frechet distance is far from its limit
NAMED = 8  # columns or runs that are named before they are counted
PUBLISHED = 5000  # images per split of a published Inception score
COUNT = re.compile(r"[1-9][0-9]{0,8}")  # names may come from anybody: no numbers of thousands of digits


def notes(table: Table) -> list[str]:
    """Return the footnotes of one table, each a sentence or two, in the order in which they are read.

    A note on the metrics that share a mark begins with it: "[1] digits-cnn-v1,n=359: fid ref=train,ema."
    """
    # Rows that pool more than seeds vary for other reasons too, so their notes speak of runs.
    mixed = pooled(table.runs, [line.rows for line in table.lines])
    repeats = "runs" if mixed else "seeds"
    return [
        *same_for_all(table),
        *protocols(table),
        *legend(table, repeats),
        *solver_errors(table),
        *skipped_batches(table),
        *bold(table, repeats),
        *held_out(table),
        *biases(table),
        *hidden(table, mixed),
    ]


def same_for_all(table: Table) -> Iterator[str]:
    """Note on what all rows share, and on the seeds of a row."""
    words = [
        f"{MEASURES[name][0] if name in MEASURES else name} {written(value)}"
        for name, value in table.constants.items()
    ]
    seeds = {len(line.seeds) for line in table.lines}
    if len(seeds) == 1 and len(table.lines) > 1:
        words.append("one seed per row" if seeds == {1} else f"{seeds.pop()} seeds per row")
    if words:
        yield f"All rows: {', '.join(words)}."


def protocols(table: Table) -> Iterator[str]:
    """Notes on the names of the metrics, one a mark: what they share, then what each has of its own."""
    for mark in sorted({col.mark for col in table.columns if col.mark}):
        names = [MetricName.parse(col.name) for col in table.columns if col.mark == mark]
        each = (f"{name.kind} {','.join((*name.details, name.of))}" for name in names)
        yield f"[{mark}] {names[0].basis}: {'; '.join(each)}."


def legend(table: Table, repeats: str) -> Iterator[str]:
    """Notes on the signs and the uncertainties that are in the table."""
    shown = [pair for line in table.lines for pair in zip(table.columns, line.entries, strict=True)]
    spreads = [parts(entry, col.name)[1] for col, entry in shown]
    if any("±" in words for words in (*spreads, *held_out(table))):
        yield f"± is the standard deviation over {repeats}."
    if any(spread.startswith("[") for spread in spreads):
        both = titles_with_interval(table, "samples and real images")
        also = f", of {' and '.join(both)} over real images too" if both else ""
        yield f"[low, high] is the 95 % interval over samples{also}."
        if none := titles_with_interval(table, "none"):
            verb = "has" if len(none) == 1 else "have"
            yield f"{' and '.join(none)} {verb} no interval: counted over real images, not over samples."
    if any(entry.is_partial for _, entry in shown):
        yield "(n of m): only n of the row's m runs have this value, so it is never the best."
    signs = {entry.sign for _, entry in shown}
    known = {"≤": "upper bound on bits/dim", "≈": "estimate, no bound", NOT_MEASURED: "not measured"}
    yield from (f"{sign}: {meaning}." for sign, meaning in known.items() if sign in signs)


def titles_with_interval(table: Table, interval: str) -> list[str]:
    """Titles of the metrics whose kind has such an interval, see `Kind`."""
    kinds = table.runs.kinds
    of = {
        col.title: kinds.get(MetricName.parse(col.name).kind) for col in table.columns if is_metric(col.name)
    }
    return [title for title, kind in of.items() if kind and kind.interval == interval]


def solver_errors(table: Table) -> Iterator[str]:
    """Notes that define the solver's error and name the rows that have not converged."""
    if "solver_error_bits" not in [col.name for col in table.columns]:
        return
    frame = table.runs.frame
    counts = sorted({n for n in cells(frame, "solver_error_n") if isinstance(n, int | float)})
    images = " or ".join(f"{n:,.0f}" for n in counts)
    yield (
        "solver error: estimated change of bits/dim with finer steps of the ODE (from twice as many steps, "
        f"or with density=ode half as many), on {images or 'some'} held-out images; no interval over images."
    )
    found = zip(cells(frame, "run"), cells(frame, "solver_error_bits"), strict=True)
    coarse = [str(run) for run, x in found if isinstance(x, int | float) and not abs(x) < CONVERGED_BITS]
    if coarse:
        yield (
            f"Not converged, a solver error of {CONVERGED_BITS} bits/dim or more: {some(coarse)}; take more "
            "steps (model.process.density_steps, or density.steps and schedule.T with density=ode)."
        )


def skipped_batches(table: Table) -> Iterator[str]:
    """Note that names the runs of which training batches made no update, with their numbers."""
    counts = zip(cells(table.runs.frame, "run"), cells(table.runs.frame, "skipped_batches"), strict=True)
    found = [f"{run} ({n:,.0f})" for run, n in counts if isinstance(n, int | float) and n > 0]
    if found:
        yield (
            "Training batches whose loss or gradient was not finite made no update "
            f"(trainer.on_nonfinite=skip): {some(found)}."
        )


def bold(table: Table, repeats: str) -> Iterator[str]:
    """Note on when a value is set in bold, or on why none is."""
    if len(table.lines) < 2 or not any(col.better for col in table.columns):
        return
    single, a_run = single_runs(table), repeats[:-1]
    if len(table.budgets) > 1:
        yield f"Budgets differ ({some(table.budgets)}), so the rows are not ranked."
    elif table.tested:
        any_best = any(entry.is_best for line in table.lines for entry in line.entries)
        holms = f", with Holm's correction over {table.tested} columns" if table.tested > 1 else ""
        test = f"by Welch's two-sided test over {repeats}{holms}"
        yield (
            f"Bold: better than every other row at 95 %, {test}."
            if any_best
            else f"No row is better than every other at 95 % in any column, {test}."
        )
        if single:
            yield f"In {some(single)} nothing is in bold: a row has one {a_run} there."
    elif single:
        yield (
            f"Nothing is in bold: one {a_run} per row does not show how much training varies, whatever its "
            "interval over samples."
        )
    else:
        yield "Nothing is in bold: no column has two rows whose numbers compare."


def single_runs(table: Table) -> list[str]:
    """Titles of the columns in which several rows have a value, and one of them of a single run."""
    found = []
    for place, col in enumerate(table.columns):
        known = [x for line in table.lines if (x := line.entries[place].estimate) is not None]
        if col.better and len(known) > 1 and any(x.std is None for x in known):
            found.append(col.title)
    return found


def held_out(table: Table) -> Iterator[str]:
    """Note on the scores of real images that no model was trained on."""
    scores = []
    for col in table.columns:
        if not is_metric(col.name):
            continue
        # The number belongs to the data of a seed, which all runs of that seed share.
        of_test = cells(table.runs.frame, str(MetricName.parse(col.name).of_images("test")))
        by_seed = dict(zip(cells(table.runs.frame, "seed"), of_test, strict=True)).values()
        values = [x for x in by_seed if isinstance(x, int | float) and math.isfinite(x)]
        if values:
            scores.append(f"{col.title} {whole(Entry(values[0], estimate(values)), col.name)}")
    if scores:
        yield f"Score of real held-out images (reference for a perfect model): {', '.join(scores)}."


def biases(table: Table) -> Iterator[str]:
    """Warnings where a Frechet distance or an Inception score is dominated by the number of samples."""
    found: dict[str, str] = {}
    for col in table.columns:
        if not is_metric(col.name):
            continue
        name = MetricName.parse(col.name)
        n, splits = name.n or 0, name.setting("splits") or ""
        size = next((size for word, size in DIMENSIONS.items() if word in name.protocol), 0)
        a_split = n // int(splits) if COUNT.fullmatch(splits) else 0
        # One warning of each kind, of the first column that it applies to.
        if name.kind == "fid" and 0 < n < FEW * size and "fid" not in found:
            found["fid"] = (
                f"Biased: n={n} is below {FEW} x {size} features; {column(col.name).title} is too high "
                "by an amount that falls as 1/n, so compare only runs with the same n."
            )
        if name.kind == "is" and 0 < a_split < PUBLISHED and "is" not in found:
            found["is"] = (
                f"Biased: {column(col.name).title} is too low by an amount that falls with the images per "
                f"split, here {a_split:,} (published: {PUBLISHED:,}), so compare only runs with the same n."
            )
    yield from found.values()


def hidden(table: Table, mixed: Sequence[str]) -> Iterator[str]:
    """Notes on the columns that are not shown and in which rows, or the runs of a row, differ."""
    shown = [*(col.name for col in table.columns), "budget", "data"]
    if mixed:
        yield f"Rows pool runs that differ in {some(mixed)}."
    others = [name for name in unseen(table.runs, shown) if name not in mixed]
    if others:
        yield f"Rows also differ in {some(others)} (see --format csv)."


def counted_once(replaced: Mapping[str, str]) -> list[str]:
    """Return a note on the runs that are in no table since another one is the same, and how to see them.

    replaced: each of them -> the run that stands for it.
    """
    folders: dict[tuple[str, str], list[str]] = {}
    pairs = []
    for run, other in replaced.items():
        (folder, _, name), (other_folder, _, twin) = run.rpartition("/"), other.rpartition("/")
        if name == twin:
            folders.setdefault((folder or ".", other_folder or "."), []).append(name)
        else:
            pairs.append(f"{run} for {other}")
    whole_folders = [f"those in {a} for those in {b} ({some(names)})" for (a, b), names in folders.items()]
    if not replaced:
        return []
    by_name = "--by name,model shows those of each name apart, " if whole_folders else ""
    return [
        "Runs of the same configuration and seed count once, as they do not count as separate seeds; left "
        f"out are {some([*whole_folders, *pairs], '; ')}. {by_name}--by run shows every run."
    ]


def left_out(runs: Mapping[str, str], passed_over: Mapping[str, str]) -> list[str]:
    """Return notes on runs that are in no table and evaluations that cannot be read, with the reasons.

    runs, passed_over: name of a run -> why. Runs with one reason share a note; there are at most NAMED of
    these, and one that counts the rest.
    """
    # Most runs share a reason (a sweep that is at work), and a line each would bury the table.
    by_reason: dict[str, list[str]] = {}
    for run, why in runs.items():
        by_reason.setdefault(why, []).append(run)
    found = [f"Not included: {some(names)} ({why})." for why, names in [*by_reason.items()][:NAMED]]
    if rest := [run for names in [*by_reason.values()][NAMED:] for run in names]:
        found.append(f"Not included: {len(rest)} more of {len(runs)} runs, for other reasons.")
    if passed_over:
        lines = [f"{run} ({which})" for run, which in passed_over.items()]
        found.append(f"Evaluations that cannot be read: {some(lines)}.")
    return found


def not_shown(refused: Mapping[Path, str]) -> list[str]:
    """Return a note that names the files of runs that a page does not show, with the reasons."""
    return [f"Not shown: {some(list(refused.values()), '; ')}."] if refused else []


def some(names: Sequence[str], between: str = ", ") -> str:
    """Return the first of some names, and the number of the others: "a, b and 3 more"."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{between.join(names[:NAMED])}{more}"
