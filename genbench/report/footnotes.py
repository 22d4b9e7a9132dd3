"""Footnotes of a table: its protocol, how to read it, and what is not in it."""

import re
from collections.abc import Iterator, Mapping, Sequence

from genbench.records.feature_network import WEAK_SIGN
from genbench.records.metric_name import is_metric
from genbench.report.budgets import budgets, stopped_early
from genbench.report.columns import CONVERGED_BITS, MEASURES, column
from genbench.report.data_frame import cells, distinct, present
from genbench.report.groups import pooled, unseen
from genbench.report.names import NAMED, some
from genbench.report.numbers import parts, whole, written
from genbench.report.real_images import held_out, metrics, nearer
from genbench.report.table import CONDITIONS, Table
from genbench.report.table_cell import GUIDED, NOT_MEASURED

__all__ = ["DIMENSIONS", "FEW", "counted_once", "left_out", "notes"]

DIMENSIONS = {
    "inception-spatial": 2023,
    "inception": 2048,
    "dinov2-vitl": 1024,
    "dinov2-vitb": 768,
    "dinov2": 384,
    "clip": 512,
    "captioned": 256,
    "cnn": 64,
}
"""Of features, by the first of these words in their name; of CLIP those of its smallest models."""
FEW = 10  # samples per feature below which a Frechet distance is far from its limit
PUBLISHED = 5000  # images per split of a published Inception score
COUNT = re.compile(r"[1-9][0-9]{0,8}")  # names may come from anybody: no numbers of thousands of digits
NO_NETWORK = ("pixels", "law")  # protocols of the pixels themselves, and of a distribution that is known
OF_RUNS = ("guidance=auto", "guidance=classifier_of_run", "autoencoder=run", "base_model=run")
SIGNS = {"≤": "upper bound on bits/dim", "≈": "estimate, no bound", NOT_MEASURED: "not measured"}


def notes(table: Table, *, with_settings: bool = False) -> list[str]:
    """Return the footnotes of one table, each a sentence or two, in the order in which they are read.

    with_settings: if the settings in which rows differ are listed elsewhere, so that no note names them. A
    note on the metrics that share a mark begins with it: "[1] digits-cnn-v1,n=359: fid ref=train,ema."
    """
    # Rows that pool more than seeds vary for other reasons too, so their notes speak of runs.
    mixed = pooled(table.runs, [line.rows for line in table.lines])
    repeats = "runs" if mixed else "seeds"
    scores = [f"{title} {whole(entry, name)}" for title, name, entry in held_out(table)]
    found = list[str]()
    if scores:  # what all numbers are to be read against
        found.append(f"Score of real held-out images (reference for a perfect model): {', '.join(scores)}.")
    found += [*shared(table), *given_images(table), *best_weights(table), *legend(table, repeats, scores)]
    found += [*guided(table), *taken(table), *failures(table), *early_stops(table), *targets(table)]
    found += bold(table, repeats)
    found += nearer(table)
    found += biases(table)
    if mixed:
        found.append(f"Rows pool runs that differ in {some(titles(mixed))}.")
    shown = [*(col.name for col in table.columns), "budget", "data", *mixed]
    shown += CONDITIONS if "conditioning" in shown else ()
    others = [name for name in unseen(table.runs, shown) if not name.startswith("budget.")]  # has a column
    if others and not with_settings:
        found.append(f"Rows also differ in {some(titles(others))} (--out table.csv has their values).")
    return found


def titles(names: Sequence[str]) -> list[str]:
    """The titles of columns by their names."""
    return [column(name).title for name in names]


def numbers(table: Table, name: str) -> dict[str, float]:
    """Run -> its number in a column, of the runs that have one there."""
    pairs = zip(cells(table.runs.frame, "run"), cells(table.runs.frame, name), strict=True)
    return {str(run): x for run, x in pairs if isinstance(x, int | float)}


def shared(table: Table) -> Iterator[str]:
    """Notes on what all rows share, and on the protocol of the metrics of each mark."""
    words = [f"{column(name).title} {written(value)}" for name, value in table.constants.items()]
    seeds = {len(line.seeds) for line in table.lines if not line.is_given}
    if len(seeds) == 1 and len(table.lines) > 1:
        words.append("one seed per row" if seeds == {1} else f"{seeds.pop()} seeds per row")
    if words:
        trained = "trained " if any(line.is_given for line in table.lines) else ""
        yield f"All {trained}rows: {', '.join(words)}."
    for mark in sorted({col.mark for col in table.columns if col.mark}):
        names = [name for col, name in metrics(table) if col.mark == mark]
        each = (f"{name.kind} {','.join((*name.details, name.of))}" for name in names)
        yield f"[{mark}] {names[0].basis}: {'; '.join(each)}."
    yield from feature_networks(table)


def feature_networks(table: Table) -> Iterator[str]:
    """Notes on the networks behind the metrics: their training and accuracy, and what is weak of them."""
    known = table.runs.networks
    shown = dict.fromkeys(name.protocol for _, name in metrics(table))
    for protocol in shown:
        if protocol in known:
            yield f"{protocol}: {known[protocol].words}"
    if unknown := [
        protocol
        for protocol in shown
        if protocol not in known and protocol.partition("-")[0] not in NO_NETWORK
    ]:
        yield f"{some(unknown)}: accuracy of the feature network n/a (recorded by an earlier version)."
    weak = [protocol for protocol in shown if protocol in known and known[protocol].is_weak]
    yield from (f"{WEAK_SIGN}: weak features: {known[protocol].weakness}." for protocol in weak)


def legend(table: Table, repeats: str, scores: Sequence[str]) -> Iterator[str]:
    """Notes on the signs and the uncertainties of the table, and of the scores of held-out images."""
    shown = [pair for line in table.lines for pair in zip(table.columns, line.entries, strict=True)]
    spreads = [parts(entry, col.name)[1] for col, entry in shown]
    if any("±" in words for words in (*spreads, *scores)):
        yield f"± is the standard deviation over {repeats}."
    if any(spread.startswith("[") for spread in spreads):
        ordinary = [(col, name) for col, name in metrics(table) if not col.is_of_best]
        kinds = {col.title: table.runs.kinds.get(name.kind) for col, name in ordinary}
        interval = {title: kind.interval for title, kind in kinds.items() if kind}
        both = [title for title in interval if interval[title] == "samples and real images"]
        also = f", of {' and '.join(both)} over real images too" if both else ""
        yield f"[low, high] is the 95 % interval over samples{also}."
        if none := [title for title in interval if interval[title] == "none"]:
            verb = "has" if len(none) == 1 else "have"
            yield f"{' and '.join(none)} {verb} no interval: measured on real images, not over samples."
    if any(entry.is_partial for _, entry in shown):
        yield "(n of m): only n of the row's m runs have this value, so it is never the best."
    signs = {entry.sign for _, entry in shown}
    yield from (f"{sign}: {meaning}." for sign, meaning in SIGNS.items() if sign in signs)
    absent = [col.name for col, entry in shown if entry.value is None and not entry.sign]
    if any(is_metric(name) or name in MEASURES for name in absent):
        yield "n/a: does not exist for this model."


def given_images(table: Table) -> Iterator[str]:
    """Note on the rows of images that another tool made, with the files they came from."""
    rows = [line for line in table.lines if line.is_given]
    if rows:
        names = [f"{line.cells('model')[0]} ({line.cells('given')[0]})" for line in rows]
        yield f"Images of another tool, without training, cost and likelihood, not ranked: {some(names)}."


def best_weights(table: Table) -> Iterator[str]:
    """Note on the columns of weights that validation chose, with the images seen and the score of each run's
    choice.
    """
    if not any(col.is_of_best for col in table.columns):
        return
    facts = ("run", "best_by", "best_images_seen")
    chosen = [
        f"{run} (by {str(by).replace('_', ' ')}, at {seen:,} images)"
        for run, by, seen in zip(*(cells(table.runs.frame, name) for name in facts), strict=True)
        if isinstance(seen, int)
    ]
    yield (
        "best: averaged weights of the checkpoint that was the best on the validation split"
        f"{f', {some(chosen)}' if chosen else ''}. This is a selection, so no row is ranked by it; columns "
        "without this word are of the last checkpoint."
    )


def early_stops(table: Table) -> Iterator[str]:
    """Note on the runs that trainer.patience ended before their budget was spent."""
    frame, early = table.runs.frame, stopped_early(table.runs.frame)
    allowed = dict(zip(map(str, cells(frame, "run")), budgets(frame), strict=True))
    if early:
        runs = [f"{run} (after {count:,} images of {allowed[run]})" for run, count in early.items()]
        yield f"Stopped early by trainer.patience, with the budget not spent: {some(runs)}."


def guided(table: Table) -> Iterator[str]:
    """Note on the rows of guided samples, whose scores do not compare with those of other rows."""
    rows = [line.is_guided for line in table.lines]
    if any(rows):
        others = "" if all(rows) else ", and rows without this mark are not guided"
        yield (
            f"{GUIDED}: guided samples{others}. Guidance gives up diversity for quality, so its "
            "scores do not compare at one scale: `genbench sampler-sweep RUN --scales 0,1,2,4` scores "
            "several, which the report then compares at equal recall."
        )


def taken(table: Table) -> Iterator[str]:
    """Note on parts of models that earlier runs trained, whose training no column counts."""
    if found := [x for x in OF_RUNS if x.partition("=")[2] in cells(table.runs.frame, x.partition("=")[0])]:
        yield f"Not counted: the training of the runs that parts are taken from ({some(found)})."


def targets(table: Table) -> Iterator[str]:
    """Notes on the targets that runs were to end at, what they are measured on, and what the checks took."""
    frame = table.runs.frame
    if not (words := distinct(present(cells(frame, "target")))):
        return
    reached = [seconds for seconds in cells(frame, "target_seconds") if seconds is not None]
    seconds = [x for x in cells(frame, "checking_seconds") if isinstance(x, int | float)]
    runs = sum(target is not None for target in cells(frame, "target"))
    yield (
        f"time to target: seconds of training until a check found {some(list(map(str, words)), '; ')}; "
        f"reached by {len(reached)} of {runs} runs. No test image takes part in it. The checks took "
        f"{written(sum(seconds))} seconds in all, which count as no training. Scores of runs that end at a "
        "target are near it by design, so rows are ranked by the time alone."
    )


def failures(table: Table) -> Iterator[str]:
    """Notes on the error of likelihood solvers, with the runs that have not converged or skipped batches."""
    if any(col.name == "solver_error_bits" for col in table.columns):
        counts = sorted({*numbers(table, "solver_error_n").values()})
        images = " or ".join(f"{n:,.0f}" for n in counts)
        yield (
            "solver error: estimated change of bits/dim with finer steps of the ODE (from twice as many "
            f"steps, or with density=ode half as many), on {images or 'some'} held-out images; no interval "
            "over images."
        )
        errors = numbers(table, "solver_error_bits")
        if coarse := [run for run, x in errors.items() if not abs(x) < CONVERGED_BITS]:
            yield (
                f"Not converged, a solver error of {CONVERGED_BITS} bits/dim or more: {some(coarse)}; take "
                "more steps (model.process.density_steps, or density.steps and schedule.T with density=ode)."
            )
    skipped = [f"{run} ({n:,.0f})" for run, n in numbers(table, "skipped_batches").items() if n > 0]
    if skipped:
        yield (
            "Training batches whose loss or gradient was not finite (trainer.on_nonfinite=skip), or whose "
            f"gradient was large (trainer.skip_grad_norm), made no update: {some(skipped)}."
        )


def bold(table: Table, repeats: str) -> Iterator[str]:
    """Note on when a value is set in bold, or on why none is."""
    if len(table.lines) < 2 or not any(col.better for col in table.columns):
        return
    single = []  # columns in which several rows have a value, and one of them of a single run
    for col, places in zip(table.columns, table.entries, strict=True):
        rows = zip(table.lines, places, strict=True)
        known = [x.estimate for line, x in rows if x.estimate and not line.is_given]
        if col.better and not col.is_of_best and len(known) > 1 and any(x.std is None for x in known):
            single.append(col.title)
    if len(table.budgets) > 1:
        yield f"Budgets differ ({some(table.budgets)}), so the rows are not ranked."
    elif table.tested:
        any_best = any(entry.is_best for line in table.lines for entry in line.entries)
        holms = f", with Holm's correction over {table.tested} columns" if table.tested > 1 else ""
        rule = (
            "Bold: better than every other row at 95 %"
            if any_best
            else "No row is better than every other at 95 % in any column"
        )
        yield f"{rule}, by Welch's two-sided test over {repeats}{holms}."
        if single:
            yield f"In {some(single)} nothing is in bold: a row has one {repeats[:-1]} there."
    elif single:
        yield (
            f"Nothing is in bold: one {repeats[:-1]} per row does not show how much training varies, "
            "whatever its interval over samples."
        )
    else:
        yield "Nothing is in bold: no column has two rows whose numbers compare."


def biases(table: Table) -> list[str]:
    """Warnings where a Frechet distance or an Inception score is dominated by the number of samples."""
    found: dict[str, str] = {}
    for col, name in metrics(table):
        n, splits = name.n or 0, name.setting("splits") or ""
        size = next((size for word, size in DIMENSIONS.items() if word in name.protocol), 0)
        a_split = n // int(splits) if COUNT.fullmatch(splits) else 0
        # One warning of each kind, of the first column that it applies to.
        if name.kind == "fid" and 0 < n < FEW * size:
            why = (
                f"{col.title} needs about {FEW} samples for each of the {size:,} features, {FEW * size:,}; "
                f"there are {n:,}: it is too high by an amount that falls as 1/n"
            )
        elif name.kind == "is" and 0 < a_split < PUBLISHED:
            why = (
                f"{col.title} is too low by an amount that falls with the images per split, here {a_split:,} "
                f"(published: {PUBLISHED:,})"
            )
        else:
            continue
        found.setdefault(name.kind, f"{why}, so compare only runs with the same n.")
    return [*found.values()]


def counted_once(replaced: Mapping[str, str]) -> list[str]:
    """Return a note on the runs that are in no table since another one is the same, and how to see them.

    replaced: each of them -> the run that stands for it.
    """
    if not replaced:
        return []
    folders: dict[tuple[str, str], list[str]] = {}
    pairs = []
    for run, other in replaced.items():
        (folder, _, name), (other_folder, _, twin) = run.rpartition("/"), other.rpartition("/")
        if name == twin:
            folders.setdefault((folder or ".", other_folder or "."), []).append(name)
        else:
            pairs.append(f"{run} for {other}")
    whole_folders = [f"those in {a} for those in {b} ({some(names)})" for (a, b), names in folders.items()]
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
