"""Tables of the benchmark's pages that no report of genbench has."""

from collections.abc import Sequence

from benchmarks.publish.swept import Swept
from benchmarks.publish.unfit import (
    AUTHENTIC,
    COMPLETION_ERROR,
    copying,
    held_out_authentic,
    mean_image,
    no_better_than_none,
)
from benchmarks.publish.winners import Measure, Record, ranking, score, text_of
from genbench.report.formats.markdown import rows_markdown
from genbench.report.numbers import shared_decimals
from genbench.report.statistics import estimate

__all__ = ["SWEPT_KINDS", "copies_table", "halves_table", "sweep_table"]

SWEPT_KINDS = ("fid", "precision", "recall", "authenticity")
"""Scores of a sweep over sampling that have a table: guidance trades one for the other."""


def sweep_table(records: Sequence[Record], swept: Swept, kind: str) -> str:
    """Return a kind of score of each model at each setting of a sweep over sampling, as Markdown, with the
    standard deviation over its runs; empty where no run was swept, or has it.
    """
    found = swept.scores(records, kind)
    places = sorted({at for own in found.values() for at in own})
    known = {name: {at: estimate(values) for at, values in own.items()} for name, own in found.items()}
    digits = shared_decimals([x for own in known.values() for x in own.values()])
    rows = [
        [name, *(text_of(own[at], digits) if at in own else "–" for at in places)]
        for name, own in sorted(known.items())
    ]
    heads = [f"{score(kind).heading} by {swept.title}", *(f"{at:g}" for at in places)]
    return rows_markdown(heads, rows) if rows else ""


def halves_table(records: Sequence[Record]) -> str:
    """Return the error of completed halves of each model that completes images; empty where none has it."""
    beside = [*mean_image(records), no_better_than_none(records).why]
    return one_measure(records, COMPLETION_ERROR, COMPLETION_ERROR.heading, beside)


def copies_table(records: Sequence[Record]) -> str:
    """Return the share of samples of each model that are no copies of images that it was trained on, beside
    that of held-out images, which more is not better than; empty where none has it.
    """
    real = held_out_authentic(records)
    of_real = "" if real is None else f"Held-out images, none of which is a copy: {real:.3g}."
    return one_measure(records, AUTHENTIC, AUTHENTIC.title, [of_real, copying(records).why])


def one_measure(records: Sequence[Record], measure: Measure, title: str, beside: Sequence[str]) -> str:
    """Return a table of one measure of the models that have it, from best to worst, as Markdown, with
    sentences on what to compare it with below; empty where none has it.
    """
    found = ranking([record for record in records if record.get("result")], measure)
    if found is None:
        return ""
    rows = [[name, text] for name, text in zip(found.names, found.texts, strict=True)]
    table = rows_markdown(["model", title], rows)
    return "\n\n".join([table.strip(), *filter(None, beside)])
