"""One claim with its rows and verdicts -> its section of the page, as Markdown."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from benchmarks.claim_list import Claim
from benchmarks.claim_rates import rates_tried
from benchmarks.claim_runs import Rows
from benchmarks.claim_verdicts import COUNTED, RATIOS, Statement, Verdict
from genbench.metrics.scores.interval import share_interval
from genbench.records.metric_kinds import KINDS
from genbench.report import frame_markdown
from genbench.report.columns import column
from genbench.report.numbers import p_words, rounded, shared_decimals, short, uncertainty
from genbench.report.statistics import Estimate, estimate

__all__ = ["frame", "missing_lines", "section", "summary", "values_of"]

SEEDS = 3  # of each row
NOT_MEASURED = "n/a"
EXACT = (
    "passes_per_sample",
    "images_seen",
    "flops_per_image",
    "flops_per_sample",
    "optim.lr",
)  # without an uncertainty worth a column's room
SHARES = ("failed", "stopped", "worse than noise", "collapsed")  # of runs
TITLES = {name: name for name in SHARES} | {
    "images_per_second": "images/s of training ↑",
    "flops_per_image": "FLOP an image, training",
    "flops_per_sample": "FLOP a sample",
    "optim.lr": "rate",
}


def section(claim: Claim, rows: Rows, found: Sequence[Verdict], noise: float) -> str:
    """Return the section of one claim: its sentence, set-up, commands, table of rows, verdicts and limits."""
    commands = "\n".join(claim.commands)
    parts = [
        f"## {claim.title}",
        f"> {claim.sentence}" if found else claim.sentence,
        claim.setup.format(noise=noise),
        f"```sh\n{commands}\n```",
        table(claim, rows).rstrip() if rows else "Not measured yet.",
        frame_markdown(frame([verdict_row(claim, x) for x in found])).rstrip() if found else "",
        f"What it does not show: {claim.limits}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def frame(lines: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Return lines of text as a data frame of objects, which keeps them as they are."""
    return pd.DataFrame([dict(line) for line in lines], dtype=object)


def table(claim: Claim, rows: Rows) -> str:
    """Return the rows of a claim that were measured as a Markdown table: mean and standard deviation over
    seeds; of failures the share of runs with Wilson's interval.
    """
    measured = [name for name in claim.rows if name in rows]
    lines = [
        {"": named(claim, name), "runs": str(len(rows[name])), "rates tried": rates_tried(claim, name)}
        for name in measured
    ]
    for measure in claim.measures:
        values = values_of(rows)
        column_of = [values(name, measure) for name in measured]
        if any(column_of):
            for line, text in zip(lines, texts(measure, column_of), strict=True):
                line[title(measure)] = text
    return frame_markdown(frame(lines))


def texts(measure: str, found: Sequence[Sequence[float]]) -> list[str]:
    """Return the values of one measure over the rows as text, with the decimals that its deviations allow."""
    if measure in SHARES:
        return [share_text(values, with_interval=measure in COUNTED) for values in found]
    known = [estimate(values) for values in found if values]
    digits = shared_decimals(known)
    return [value_text(measure, estimate(values), digits) if values else NOT_MEASURED for values in found]


def value_text(measure: str, x: Estimate, digits: int | None) -> str:
    """Return one value with its standard deviation over seeds; costs to three figures."""
    if measure in EXACT or measure in RATIOS or digits is None:
        return short(x.mean)
    return f"{rounded(x.mean, digits)} {uncertainty(x, digits)}".rstrip()


def share_text(values: Sequence[float], *, with_interval: bool) -> str:
    """Return a share of runs, 5/12, with Wilson's 95 % interval where it is asked for."""
    if not values:
        return NOT_MEASURED
    count = f"{sum(values):.0f}/{len(values)}"
    interval = share_interval(sum(values) / len(values), n=len(values))
    return f"{count} [{interval.low:.2f}, {interval.high:.2f}]" if with_interval else count


def verdict_row(claim: Claim, found: Verdict) -> dict[str, str]:
    """Return the row of one verdict: the statement, the difference with its interval, p and the words."""
    statement = found.statement
    is_ratio = statement.measure in RATIOS
    texts = [f"{x:.3g}" if is_ratio else f"{x:+.3g}" for x in (found.difference, found.low, found.high)]
    interval = "" if math.isnan(found.low) else f" [{texts[1]}, {texts[2]}]"
    difference = f"{'×' if is_ratio else ''}{texts[0]}{interval}"
    is_known = not math.isnan(found.difference)
    return {
        "statement": sentence(claim, statement),
        "difference or ratio (×)": difference if is_known else NOT_MEASURED,
        "p": p_words(found.p).removeprefix("p ").removeprefix("= ") if is_known else NOT_MEASURED,
        "verdict": found.words,
    }


def sentence(claim: Claim, statement: Statement) -> str:
    """Return a statement in words: cosine has a lower FID than linear."""
    row, than = named(claim, statement.row), named(claim, statement.than)
    if statement.measure in COUNTED:
        return f"{row} fails more often than {than}"
    way = "lower" if statement.way < 0 else "higher"
    return f"{row}: {way} {title(statement.measure).rstrip(' ↑↓')} than {than}"


def named(claim: Claim, row: str) -> str:
    """Return the name of a row for a reader."""
    return claim.names.get(row, row)


def title(measure: str) -> str:
    """Return the title of a measure with its arrow, as reports have it."""
    if measure in TITLES:
        return TITLES[measure]
    if measure in KINDS:
        arrow = {-1: " ↓", 0: "", 1: " ↑"}[KINDS[measure].better]
        return f"{KINDS[measure].title}{arrow}"
    col = column(measure)
    return f"{col.title} {col.arrow}".rstrip()


def values_of(rows: Rows) -> Callable[[str, str], list[float]]:
    """Return a function from a row and a measure to its finite values, one a run; none where it has none."""

    def values(row: str, measure: str) -> list[float]:
        found = [run[measure] for run in rows.get(row, ()) if measure in run]
        return [value for value in found if math.isfinite(value)]

    return values


def summary(claim: Claim, found: Sequence[Verdict]) -> dict[str, str]:
    """Return the row of a claim in the summary: how many learning rates its rows were tried at, and how many
    of its statements have which verdict.
    """
    counts = Counter(x.words for x in found)
    return {
        "claim": claim.title,
        "rates tried": ", ".join(dict.fromkeys(rates_tried(claim, row) for row in claim.rows)),
        "statements": str(len(found)),
        "verdicts": ", ".join(f"{words}: {count}" for words, count in counts.items()),
    }


def missing_lines(claim: Claim, rows: Rows) -> list[str]:
    """Return a line for each row of a claim with fewer than three runs, with the commands that make them."""
    short_of = [name for name in claim.rows if len(rows.get(name, ())) < SEEDS]
    if not short_of:
        return []
    have = ", ".join(f"{named(claim, name)} ({len(rows.get(name, ()))} of {SEEDS})" for name in short_of)
    return [f"{claim.title} lacks runs of {have}: {'; '.join(claim.commands)}"]
