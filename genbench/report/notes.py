"""What stands below a table: its protocol, how to read it, and what is not in it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from genbench.records.metric_kinds import Kind
from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import CONVERGED_BITS, MEASURES, column
from genbench.report.group import pooled, unseen
from genbench.report.noise import estimate
from genbench.report.table import NOT_MEASURED, Entry, Table, leaders
from genbench.report.written import parts, whole, written

__all__ = ["counted_once", "left_out", "not_shown", "notes"]

DIMENSIONS = {"inception": 2048, "dinov2": 384, "cnn": 64}  # of features, by a word of their name
FEW = 10  # samples a dimension below which a Frechet distance is far from its limit
NAMED = 8  # columns or runs that are named before they are counted
DISTANCES = ("fid",)
COUNT = re.compile(r"[1-9][0-9]{0,8}")
PUBLISHED = 5000  # images a split of a published Inception score


def notes(table: Table) -> list[str]:
    """Foot-notes of one table, each a sentence or two."""
    return [
        *same_for_all(table),
        *protocols(table),
        *legend(table),
        *solver_errors(table),
        *skipped_batches(table),
        *verdict(table),
        *held_out(table),
        *few_samples(table),
        *small_splits(table),
        *hidden(table),
    ]


def same_for_all(table: Table) -> Iterator[str]:
    """What all rows share."""
    words = [f"{title(name)} {written(value)}" for name, value in table.constants.items()]
    seeds = {line.group.seeds for line in table.lines}
    if len(seeds) == 1 and len(table.lines) > 1:
        words.append("one seed a row" if seeds == {1} else f"{seeds.pop()} seeds a row")
    if words:
        yield f"All rows: {', '.join(words)}."


def title(name: str) -> str:
    """What a reader calls a column."""
    return MEASURES[name][0] if name in MEASURES else name


def protocols(table: Table) -> Iterator[str]:
    """The names of the metrics, a note for each mark: what they share, then what each has of its own."""
    for mark in sorted({col.mark for col in table.columns if col.mark}):
        names = [MetricName.parse(col.name) for col in table.columns if col.mark == mark]
        each = (f"{name.kind} {','.join((*name.details, name.of))}" for name in names)
        yield f"[{mark}] {names[0].basis}: {'; '.join(each)}."


def legend(table: Table) -> Iterator[str]:
    """What signs and spreads mean, of those that are there."""
    shown = [pair for line in table.lines for pair in zip(table.columns, line.entries, strict=True)]
    spreads = [parts(entry, col.name)[1] for col, entry in shown]
    if any("±" in words for words in (*spreads, *held_out(table))):
        yield f"± is the standard deviation over {repeats(table)}."
    if any(spread.startswith("[") for spread in spreads):
        both = titles_with_interval(table, "samples and real images")
        also = f", of {' and '.join(both)} over real images too" if both else ""
        yield f"[low, high] is the 95 % interval over samples{also}."
        yield from without_interval(table)
    if any(entry.is_partial for _, entry in shown):
        yield "(n of m): the number of n of the row's m runs, the others have none; it is never the best."
    signs = {entry.sign for _, entry in shown}
    if "≤" in signs:
        yield "≤: a lower bound on the likelihood, so bits from above."
    if "≈" in signs:
        yield "≈: an estimate, no bound."
    if NOT_MEASURED in signs:
        yield f"{NOT_MEASURED}: not measured."


def solver_errors(table: Table) -> Iterator[str]:
    """Notes that define the solver's error and name the rows that have not converged."""
    if "solver_error_bits" not in [col.name for col in table.columns]:
        return
    rows = table.runs.rows
    counts = sorted({n for row in rows if isinstance(n := row.get("solver_error_n"), int | float)})
    images = " or ".join(f"{n:,.0f}" for n in counts)
    yield (
        "solver error: what finer steps of the ODE would add to bits/dim (twice as many, or with density=ode "
        f"as half as many foretell), on {images or 'some'} held-out images; it is no interval over images."
    )
    errors = {str(row["run"]): row.get("solver_error_bits") for row in rows}
    known = {run: abs(x) for run, x in errors.items() if isinstance(x, int | float)}
    if coarse := [run for run, x in known.items() if not x < CONVERGED_BITS]:
        yield (
            f"Not converged, a solver error of {CONVERGED_BITS} bits/dim or more: {some(coarse)}; take more "
            "steps (model.process.density_steps, or density.steps and schedule.T with density=ode)."
        )


def skipped_batches(table: Table) -> Iterator[str]:
    """Return a note that names the runs of which training batches made no update, with their numbers."""
    counts = {str(row["run"]): row.get("skipped_batches") for row in table.runs.rows}
    found = [f"{run} ({n:,.0f})" for run, n in counts.items() if isinstance(n, int | float) and n > 0]
    if found:
        yield (
            "Training batches whose loss or gradient was not finite made no update "
            f"(trainer.on_nonfinite=skip): {some(found)}."
        )


def without_interval(table: Table) -> Iterator[str]:
    """Why some shares have none."""
    titles = titles_with_interval(table, "none")
    if titles:
        has = "has" if len(titles) == 1 else "have"
        yield f"{' and '.join(titles)} {has} no interval: counted over real images, not over samples."


def titles_with_interval(table: Table, interval: str) -> list[str]:
    """The titles of the metrics whose kind has such an interval."""
    return [
        col.title for col in table.columns if (kind := kind_of(table, col.name)) and kind.interval == interval
    ]


def kind_of(table: Table, name: str) -> Kind | None:
    """The kind of the metric in a column, None of other columns and of kinds that are unknown."""
    return table.runs.kinds.get(MetricName.parse(name).kind) if is_metric(name) else None


def repeats(table: Table) -> str:
    """What the runs of a row are: the same with other seeds, unless the user pools what differs in more."""
    return "runs" if pooled(table.runs, [line.group for line in table.lines]) else "seeds"


def verdict(table: Table) -> Iterator[str]:
    """When a value is set in bold, and why none is."""
    if len(table.lines) < 2 or not any(col.better for col in table.columns):
        return
    tested = leaders(table.lines, table.columns)
    single = single_runs(table)
    if len(table.budgets) > 1:
        yield f"Budgets differ ({some(table.budgets)}): the rows are not ranked, whatever their order."
    elif tested:
        any_best = any(entry.is_best for line in table.lines for entry in line.entries)
        holms = f", with Holm's correction over {len(tested)} columns" if len(tested) > 1 else ""
        test = f"by Welch's two-sided test over {repeats(table)}{holms}"
        yield (
            f"Bold: better than every other row at 95 %, {test}."
            if any_best
            else f"No row is better than every other at 95 % in any column, {test}."
        )
        if single:
            yield f"In {some(single)} nothing is in bold: a row has one {repeats(table)[:-1]} there."
    elif single:
        yield (
            f"Nothing is in bold: one {repeats(table)[:-1]} a row says nothing of the noise of training,"
            " whatever its interval over samples."
        )
    else:
        yield "Nothing is in bold: no column has two rows whose numbers compare."


def single_runs(table: Table) -> list[str]:
    """The titles of the columns in which several rows have a value, and one of them of a single run."""
    found = []
    for place, col in enumerate(table.columns):
        known = [x for line in table.lines if (x := line.entries[place].estimate) is not None]
        if col.better and len(known) > 1 and any(x.std is None for x in known):
            found.append(col.title)
    return found


def held_out(table: Table) -> Iterator[str]:
    """What real images score: the value of a perfect model."""
    scores = []
    for col in table.columns:
        values = (
            by_seed(table, str(MetricName.parse(col.name).of_images("test"))) if is_metric(col.name) else []
        )
        if values:
            scores.append(f"{col.title} {whole(Entry(values[0], estimate(values)), col.name)}")
    if scores:
        yield f"Held-out images, as a perfect model would: {', '.join(scores)}."


def by_seed(table: Table, name: str) -> list[float]:
    """A number of each seed that belongs to the data, so that the runs of a seed share it."""
    found = {row.get("seed"): row.get(name) for row in table.runs.rows}
    return [value for value in found.values() if isinstance(value, int | float) and math.isfinite(value)]


def few_samples(table: Table) -> Iterator[str]:
    """A warning where a distance is dominated by the number of samples."""
    for name in (
        col.name for col in table.columns if (kind := kind_of(table, col.name)) and kind.key in DISTANCES
    ):
        n, size = samples(name), dimension(name)
        if n and size and n < FEW * size:
            yield (
                f"Biased: n={n} is below {FEW} x {size} features; {column(name).title} is too high by an"
                " amount that falls as 1/n, so it compares at equal n alone."
            )
            return


def small_splits(table: Table) -> Iterator[str]:
    """A warning where an Inception score comes from splits of few images."""
    for name in (col.name for col in table.columns if parts_of(col.name)):
        a_split = samples(name) // parts_of(name)
        if 0 < a_split < PUBLISHED:
            yield (
                f"Biased: {column(name).title} is too low by an amount that falls with the images of a split,"
                f" here {a_split:,} (published: {PUBLISHED:,}), so it compares at equal n alone."
            )
            return


def parts_of(name: str) -> int:
    """The splits of an Inception score, 0 of other columns."""
    metric = MetricName.parse(name) if is_metric(name) else None
    splits = metric.setting("splits") if metric and metric.kind == "is" else None
    return int(splits) if splits and COUNT.fullmatch(splits) else 0


def samples(name: str) -> int:
    """How many samples a metric was measured on, 0 where its name does not say."""
    return MetricName.parse(name).n or 0


def dimension(name: str) -> int:
    """How many features a metric has, 0 where its name does not say."""
    features = MetricName.parse(name).protocol
    return next((size for word, size in DIMENSIONS.items() if word in features), 0)


def hidden(table: Table) -> Iterator[str]:
    """In what rows differ beside what the columns say."""
    shown = [*(col.name for col in table.columns), "budget", "data"]
    mixed = pooled(table.runs, [line.group for line in table.lines])
    if mixed:
        yield f"Rows pool runs that differ in {some(mixed)}."
    others = [name for name in unseen(table.runs, shown) if name not in mixed]
    if others:
        yield f"Rows also differ in {some(others)} (see --format csv)."


def counted_once(replaced: Mapping[str, str]) -> list[str]:
    """Which runs are in no table since another one is the same, and how to see them."""
    folders: dict[tuple[str, str], list[str]] = {}
    pairs = []
    for run, kept in replaced.items():
        (folder, _, name), (other, _, twin) = run.rpartition("/"), kept.rpartition("/")
        if name == twin:
            folders.setdefault((folder or ".", other or "."), []).append(name)
        else:
            pairs.append(f"{run} for {kept}")
    told = [f"those in {one} for those in {two} ({some(names)})" for (one, two), names in folders.items()]
    if not replaced:
        return []
    return [
        f"Runs of the same configuration and seed count once, or they would pass for two; left out are "
        f"{some([*told, *pairs], '; ')}. {'--by name,model shows those of each name apart, ' if told else ''}"
        "--by run shows every run."
    ]


def left_out(runs: Mapping[str, str], passed_over: Mapping[str, str]) -> list[str]:
    """Which runs are not in any table, and why; and which evaluations."""
    found = []
    if runs:
        found.append(f"Left out: {some([f'{run} ({why})' for run, why in runs.items()])}.")
    if passed_over:
        lines = [f"{run} ({which})" for run, which in passed_over.items()]
        found.append(f"Evaluations that cannot be read: {some(lines)}.")
    return found


def not_shown(refused: Mapping[Path, str]) -> list[str]:
    """Name the files of runs that a page does not show, with the reasons."""
    return [f"Not shown: {some(list(refused.values()), '; ')}."] if refused else []


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{between.join(names[:NAMED])}{more}"
