"""The pages of the benchmark, made of the records: tables by the report, figures, and answers to needs."""

import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import NamedTuple

from benchmarks.claim_list import CLAIMS
from benchmarks.claims import page as claims_page
from benchmarks.publish.again import commands
from benchmarks.publish.answers import answers, held_out
from benchmarks.publish.book import Book, Chapter
from benchmarks.publish.execute import Job
from benchmarks.publish.figures import (
    cost_figure,
    curve_figure,
    heat_figure,
    strips_figure,
    sweep_figure,
)
from benchmarks.publish.plan import PARTS, Part
from benchmarks.publish.planned import FULL, Size
from benchmarks.publish.records import CONDITIONS, REAL, SAMPLERS, STRIP, commit_of, picture_path, unpack
from benchmarks.publish.swept import SCALES, STEPS
from benchmarks.publish.tables import SWEPT_KINDS, copies_table, halves_table, sweep_table
from benchmarks.publish.winners import Record, model_of, ranking, score
from genbench.records.files import atomic_file
from genbench.records.units import device_words
from genbench.report.formats.markdown import markdown
from genbench.report.table import Query

__all__ = ["Places", "between", "write_pages"]

COMMAND = "python -m benchmarks.publish"
BLOCK = re.compile(r"(?s)<!-- benchmark: (\w+) -->\n.*?<!-- end -->")
"""A part of a page that is made anew; the rest of the page stays."""
RANKED = ("fashion_mnist", "digits_seconds")
"""Parts of which the quality is drawn against the cost of a sample."""
STRIPS = (
    "The first ten samples of each model at seed 0, none selected, below real images where there is a row of "
    "them; models in the order of their FIDs"
)
MARKS = (
    "- Columns and marks are explained in [reading a table](../comparing.md), terms in the "
    "[glossary](../glossary.md), measures in [the protocol](../protocol.md)."
)
CURVES = (
    "FID over seconds of training, first seed of each model. It is of few samples, which makes it too high: "
    "the ends of the curves do not compare with the table"
)
COST = "FID against the seconds of a sample; red: no other model is better in both"
FIRST = "fashion_mnist"
"""The part whose table and strips stand in the README, and whose rows stand on the families' pages."""
COLUMNS = ("fid", "recall", "passes_per_sample", "seconds_per_image")
"""Columns of the table of the README, beside bits per dimension where a model has them."""


class Places(NamedTuple):
    """The folder of the documents, that of the records, and the README; None where it is left as it is.

    size: of the runs, whose numbers the pages say.
    """

    docs: Path
    records: Path
    readme: Path | None
    size: Size = FULL


def write_pages(places: Places, runs: Path, jobs: Sequence[Job]) -> None:
    """Write docs/benchmark of the planned runs that are recorded, and say which are not; docs/claims.md where
    all of its runs are. The blocks of the README, of the first pages of the documents and of the families,
    and of each family's page are replaced once the first part has a run of every model.

    runs: the directory of the runs, in which the records are unpacked for a moment.
    """
    runs.mkdir(parents=True, exist_ok=True)
    folder, book = places.docs / "benchmark", Book(jobs, places.records, runs)
    written = [part for part in PARTS if book[part.key].records]
    for part in written:
        if part.key != "claims":
            write(folder / f"{part.key}.md", part_page(part, places, book))
    write(folder / "index.md", index_page(written, book))
    if places.readme is not None and book[FIRST].has_every_row and has_scores(book[FIRST]):
        families = places.docs / "families"
        whole = {places.readme: "docs/", places.docs / "index.md": "", families / "index.md": "../"}
        for path, docs in whole.items():
            write(path, between(path.read_text(), blocks(places, book, docs)))
        rows = first_rows(book)
        for path in sorted({*families.glob("*.md")} - {*whole}):
            write(path, between(path.read_text(), {"row": family_block(path.stem, book[FIRST], rows)}))
    write_claims(places, runs, book)


def has_scores(chapter: Chapter) -> bool:
    """Return True where a run has an FID, which the first table shows."""
    return any(score("fid").read(record) is not None for record in chapter.records)


def write(path: Path, text: str) -> None:
    """Write a page whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(f"{text.rstrip()}\n".encode())


def between(text: str, parts: Mapping[str, str]) -> str:
    """Return a page with the content of its blocks replaced: <!-- benchmark: NAME --> .. <!-- end -->."""

    def part(found: re.Match[str]) -> str:
        if found[1] not in parts:
            return found[0]
        return f"<!-- benchmark: {found[1]} -->\n{parts[found[1]].strip()}\n<!-- end -->"

    return BLOCK.sub(part, text)


def first_rows(book: Book) -> list[str]:
    """Return the lines of the table of the first part, with a few columns: heads, a rule, and a row each."""
    results = [record.get("result") or {} for record in book[FIRST].records]
    has_bits = any(result.get("likelihood", {}).get("bits_per_dim") is not None for result in results)
    columns = [*COLUMNS[:1], *(["bits_per_dim"] if has_bits else []), *COLUMNS[1:]]
    text = markdown(book.compared(FIRST, Query(columns=columns)))
    from_table = dropwhile(lambda line: not is_row(line), text.splitlines())
    return [*takewhile(is_row, from_table)]


def is_row(line: str) -> bool:
    """Return True for a line of a table in Markdown."""
    return line.startswith("|")


def part_page(part: Part, places: Places, book: Book) -> str:
    """Return the page of one part: what is equal, the conclusion and the tables of the report, figures."""
    own = book[part.key]
    records = own.records
    table = markdown(book.compared(part.key, Query()))
    pictures = [f"![{words}]({path.name})\n\n{words}." for words, path in figures(part.key, records, places)]
    command = f"```sh\n{COMMAND} --only {part.key}\n```"
    swept = [sweep_table(records, each, kind) for each in (SCALES, STEPS) for kind in SWEPT_KINDS]
    tables = [*swept, halves_table(records), copies_table(records)]
    about = part.about.format(size=places.size)
    head = [f"# {part.title}", about, made_by(own), command, *own.gaps]
    return "\n\n".join([*head, *filter(None, tables), f"{table.strip()}\n{MARKS}", *pictures, commands(own)])


def figures(key: str, records: Sequence[Record], places: Places) -> list[tuple[str, Path]]:
    """Draw the figures of a part; returns a description and the file of each that could be drawn."""
    folder = places.docs / "benchmark"
    own: list[tuple[str, str, Callable[[Path], bool]]] = [
        (
            "curves.svg",
            CURVES,
            partial(curve_figure, records),
        ),
        ("scales.svg", "FID against the scale of guidance", partial(sweep_figure, records, SCALES)),
        ("steps.svg", "FID against network evaluations per sample", partial(sweep_figure, records, STEPS)),
        ("samples.png", STRIPS, partial(strips_figure, strips(key, records, places))),
    ]
    if key in RANKED:
        own.append(("cost.svg", COST, partial(cost_figure, records)))
    if key == "heat_map":
        own.append(("map.svg", "FID by schedule and loss", partial(heat_figure, records, "schedule", "loss")))
    named = [(words, folder / f"{key}-{name}", draw) for name, words, draw in own]
    return [(words, path) for words, path, draw in named if draw(path)]


def strips(key: str, records: Sequence[Record], places: Places) -> dict[str, Path]:
    """Return a row of real images, if there is one, and that of the samples of each model that has one, by
    their FIDs where they have these.
    """
    where = {
        name: [(model_of(each), picture_path(key, each["run"], name, places.records)) for each in records]
        for name in (STRIP, REAL)
    }
    known = {name: path for name, path in sorted(where[STRIP]) if path.is_file()}
    real = [path for _, path in where[REAL] if path.is_file()]
    ranked = ranking([record for record in records if record.get("result")], score("fid"))
    first = [name for name in ranked.names if name in known] if ranked else []
    above = {"held-out images": real[0]} if real else {}
    return above | {name: known[name] for name in dict.fromkeys([*first, *known])}


def made_by(own: Chapter) -> str:
    """Return which machine, commits and versions the records of a part are of, and how it was executed."""
    abouts = [record["about"] for record in own.records]
    devices = sorted({device_words(str(about.get("device"))) for about in abouts})
    commits = sorted({commit_of(about.get("git") or {}) for about in abouts})
    torch = sorted({str((about.get("versions") or {}).get("torch")) for about in abouts})
    precisions = sorted({str(about.get("precision")) for about in abouts})
    facts = [
        f"device: {', '.join(devices)}",
        f"precision {', '.join(precisions)}",
        *conditions(own.records),
        f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}",
        f"torch {', '.join(torch)}",
    ]
    others = [f"{own.others} recorded runs of other settings are not shown."] if own.others else []
    counted = f"{len(abouts)} of {len(own.planned)} runs; {'; '.join(facts)}."
    return " ".join([counted, *others, *fitted(own.records)])


def fitted(records: Sequence[Record]) -> list[str]:
    """Return a sentence on the models whose closed-form fits took time after the training, if there are any
    that took a hundredth of it and more than a second.
    """
    costs = [(model_of(record), record["result"]["cost"]) for record in records if record.get("result")]
    longest: dict[str, float] = {}
    for name, cost in costs:
        seconds = cost.get("fitting_seconds") or 0
        if seconds > max(0.01 * cost["training_seconds"], 1):
            longest[name] = max(longest.get(name, 0), seconds)
    words = [f"{name} ({seconds:.0f} s)" for name, seconds in sorted(longest.items())]
    return (
        [f"Not counted as training are fits in closed form at its end: {', '.join(words)}."] if words else []
    )


def conditions(records: Sequence[Record]) -> list[str]:
    """Return on which machine and in how many threads runs were executed, how many at once, and the smallest
    share of a core that one had, where this is recorded.
    """
    known = [
        (model_of(each), json.loads(each["files"][CONDITIONS]))
        for each in records
        if CONDITIONS in each["files"]
    ]
    words = {
        f"{one['threads']} thread{'s' * (one['threads'] > 1)} each, {one['runs_at_once']} at once"
        for _, one in known
    }
    shares = sorted((one["core_share"], name) for name, one in known if "core_share" in one)
    least = [
        f"each had at least {math.floor(100 * share)} % of a core ({name} the least)"
        for share, name in shares[:1]
    ]
    machines = sorted({one["machine"] for _, one in known if one.get("machine")})
    several = ["times of several machines do not compare"] if len(machines) > 1 else []
    return [*machines, *several, " or ".join(sorted(words)), *least] if words else []


def index_page(written: Sequence[Part], book: Book) -> str:
    """Return the first page: which model for which need, and what was measured."""
    listed = [
        ": ".join(filter(None, [f"- [{part.title}]({part.key}.md)", book[part.key].so_far]))
        for part in written
    ]
    missing = [part.title for part in PARTS if part not in written]
    return "\n\n".join(
        [
            "# Benchmark",
            "## Which one should I use?",
            answers(book) or "Not measured yet.",
            "A part's own tables are corrected over their columns. A row of one seed is better than nothing, "
            "but it is no test. [The protocol](../protocol.md) explains each measure, "
            "[choosing](../choosing.md) how to decide on images of your own.",
            "## What was measured",
            "Networks compute in fp32 in every run, also where `precision=auto` would choose bf16, so that "
            "the tables of all machines compare.",
            "\n".join(listed).replace("(claims.md)", "(../claims.md)") or "Nothing yet.",
            *([f"Not measured yet: {'; '.join(missing)}."] if missing else []),
            "CIFAR-10 is not among these parts: it needs a GPU.",
            f"All of it takes about {book.hours:.1f} hours, two runs at once. A run is not repeated whose "
            "record is in docs/benchmark/records, or that is finished in runs/benchmark: remove both folders "
            "to begin anew.",
            f"```sh\n{COMMAND} --list  # what is left, and how long it takes\n{COMMAND}  # go on, and make "
            f"these pages\n{COMMAND} --pages  # make these pages again, of the records\n```",
        ]
    )


def blocks(places: Places, book: Book, docs: str) -> dict[str, str]:
    """Return the blocks of a page that shows all models: the answers, the first table, and the samples where
    there are some. docs: the path from the page to the folder of the documents, as links begin with it.
    """
    about = next(part.about for part in PARTS if part.key == FIRST).format(size=places.size)
    own = book[FIRST]
    legend = (
        "≤: upper bound; ≈: estimate; n/a: does not exist for the model. "
        f"[Its page]({docs}benchmark/{FIRST}.md) explains marks such as ¹, and has all columns, the machine, "
        "and the command of each row."
    )
    table = "\n".join(first_rows(book))
    below = " ".join([*held_out("fid")(own.records), legend])
    found = {
        "table": "\n\n".join([f"Fashion-MNIST: {about}", *own.gaps, table, below]),
        "answers": answers(book).replace("](", f"]({docs}benchmark/"),
    }
    samples = Path("benchmark") / f"{FIRST}-samples.png"
    if (places.docs / samples).is_file():
        found["picture"] = f"![Samples of each model, not chosen]({docs}{samples})"
    return found


def family_block(family: str, own: Chapter, rows: Sequence[str]) -> str:
    """Return the row of a family in the first table, or why it has none.

    own: the first part; rows: the lines of its table.
    """
    page = f"[Fashion-MNIST, at equal seconds](../benchmark/{FIRST}.md)"
    found = [line for line in rows[2:] if re.match(rf"\| {family} +\|", line)]
    if found:
        return "\n".join(
            [f"Its row of the table {page}, where all marks are explained:", "", *rows[:2], *found]
        )
    if family in map(model_of, own.records):
        return f"Every run of this family failed by itself there: {page}."
    return f"No run of this family has finished yet there: {page}."


def write_claims(places: Places, runs: Path, book: Book) -> None:
    """Write docs/claims.md where the runs of every claim are recorded, else leave it as it is."""
    if not (records := book["claims"].records):
        return
    with tempfile.TemporaryDirectory(dir=runs) as scratch:
        unpack(records, Path(scratch))
        for path in Path(scratch).glob(f"*/*/{SAMPLERS}"):
            run = path.relative_to(scratch).parts[1]
            to = Path(scratch) / "claims_steps" / run / "table.csv"  # where the claims read it
            to.parent.mkdir(parents=True)
            path.rename(to)
        text, missing = claims_page(Path(scratch), CLAIMS)
    if not missing:
        write(places.docs / "claims.md", text)
