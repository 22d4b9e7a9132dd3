"""Tables of the benchmark's pages that no report of genbench has."""

from collections.abc import Sequence

from benchmarks.publish.answers import HALVES, mean_image
from benchmarks.publish.swept import Swept
from benchmarks.publish.winners import Record, ranking, text_of
from genbench.report.formats.markdown import rows_markdown
from genbench.report.numbers import shared_decimals
from genbench.report.statistics import estimate

__all__ = ["halves_table", "sweep_table"]


def sweep_table(records: Sequence[Record], swept: Swept) -> str:
    """Return the FID of each model at each setting of a sweep over sampling, as Markdown, with the standard
    deviation over its runs; empty where no run was swept.
    """
    found = swept.scores(records, "fid")
    places = sorted({at for own in found.values() for at in own})
    known = {name: {at: estimate(values) for at, values in own.items()} for name, own in found.items()}
    digits = shared_decimals([x for own in known.values() for x in own.values()])
    rows = [
        [name, *(text_of(own[at], digits) if at in own else "–" for at in places)]
        for name, own in sorted(known.items())
    ]
    return rows_markdown([f"FID ↓ by {swept.title}", *(f"{at:g}" for at in places)], rows) if rows else ""


def halves_table(records: Sequence[Record]) -> str:
    """Return the error of completed halves of each model that completes images, from best to worst, as
    Markdown, with that of the mean image; empty where no run has it.
    """
    found = ranking([record for record in records if record.get("result")], HALVES)
    if found is None:
        return ""
    rows = [[name, text] for name, text in zip(found.names, found.texts, strict=True)]
    table = rows_markdown(["model", f"{HALVES.title} ↓"], rows)
    return "\n\n".join([table.strip(), *mean_image(records)])
