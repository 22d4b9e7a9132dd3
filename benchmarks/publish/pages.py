"""The pages of the benchmark, made of the records: tables by the report, figures, and answers to needs."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.claim_list import CLAIMS
from benchmarks.claims import page as claims_page
from benchmarks.publish.answers import answers
from benchmarks.publish.figures import cost_figure, curve_figure, heat_figure, strips_figure, sweep_figure
from benchmarks.publish.plan import PARTS, Part
from benchmarks.publish.records import read_records, strip_path, unpack
from benchmarks.publish.winners import Record, model_of
from genbench.records.files import atomic_file
from genbench.records.units import device_words
from genbench.report.compare import Comparison, compare
from genbench.report.formats.markdown import markdown
from genbench.report.table import Query

__all__ = ["Places", "between", "write_pages"]

COMMAND = "python -m benchmarks.publish"
BLOCK = re.compile(r"(?s)<!-- benchmark: (\w+) -->\n.*?<!-- end -->")
"""A part of a page that is made anew; the rest of the page stays."""
FIRST = "fashion_mnist"
"""The part whose table and strips stand in the README, and whose rows stand on the families' pages."""
COLUMNS = ("fid", "recall", "training_seconds", "passes_per_sample", "seconds_per_image")
"""Columns of the table of the README, beside bits per dimension where a model has them."""


class Places(NamedTuple):
    """The folder of the documents, that of the records, and the README; None where it is left as it is."""

    docs: Path
    records: Path
    readme: Path | None


def write_pages(places: Places, runs: Path) -> None:
    """Write docs/benchmark, the blocks of the README and of the families' pages, and docs/claims.md where all
    of its runs are recorded. Nothing but the records is read.

    runs: the directory of the runs, in which the records are unpacked for a moment.
    """
    runs.mkdir(parents=True, exist_ok=True)
    folder = places.docs / "benchmark"
    written = [part for part in PARTS if read_records(part.key, places.records)]
    for part in written:
        if part.key != "claims":
            write(folder / f"{part.key}.md", part_page(part, places, runs))
    write(folder / "index.md", index_page(written, places))
    if places.readme is not None and FIRST in {part.key for part in written}:
        own = blocks(places, runs)
        write(places.readme, between(places.readme.read_text(), own))
        for page in sorted((places.docs / "families").glob("*.md")):
            found = family_block(page.stem, places, runs)
            write(page, between(page.read_text(), {"row": found} if found else {}))
    write_claims(places, runs)


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


def first_table(places: Places, runs: Path) -> Comparison:
    """Lay out the table of the first part, with a few columns."""
    results = [record.get("result") or {} for record in read_records(FIRST, places.records)]
    has_bits = any(result.get("likelihood", {}).get("bits_per_dim") is not None for result in results)
    columns = [*COLUMNS[:1], *(["bits_per_dim"] if has_bits else []), *COLUMNS[1:]]
    return compared(FIRST, places, runs, Query(columns=columns))


def compared(key: str, places: Places, runs: Path, query: Query) -> Comparison:
    """Lay out the tables of the recorded runs of a part."""
    with tempfile.TemporaryDirectory(dir=runs) as scratch:
        unpack(key, places.records, Path(scratch))
        return compare(Path(scratch), query, unfinished=True)


def part_page(part: Part, places: Places, runs: Path) -> str:
    """Return the page of one part: what is equal, the conclusion and the tables of the report, figures."""
    records = read_records(part.key, places.records)
    table = markdown(compared(part.key, places, runs, Query()))
    pictures = [f"![{words}]({path.name})" for words, path in figures(part.key, records, places)]
    failed = sum(record.get("result") is None for record in records)
    note = [f"{failed} of {len(records)} runs failed by themselves, and have no row."] if failed else []
    command = f"```sh\n{COMMAND} --only {part.key}\n```"
    return "\n\n".join([f"# {part.title}", part.about, made_by(records), command, *note, table, *pictures])


def figures(key: str, records: Sequence[Record], places: Places) -> list[tuple[str, Path]]:
    """Draw the figures of a part; returns a description and the file of each that could be drawn."""
    folder = places.docs / "benchmark"
    scales, steps = (f"sampler_sweeps/{name}/table.csv" for name in ("scales", "steps"))
    own = [
        (f"{key}-curves.svg", "FID over seconds of training", lambda path: curve_figure(records, path)),
        (f"{key}-cost.svg", "FID against the seconds of a sample", lambda path: cost_figure(records, path)),
        (f"{key}-map.svg", "FID by schedule and loss", lambda path: heat(key, records, path)),
        (
            f"{key}-scales.svg",
            "FID against the scale of guidance",
            lambda path: sweep_figure(
                records, scales, lambda row: float(row["guidance.scale"]), "scale of guidance", path
            ),
        ),
        (
            f"{key}-steps.svg",
            "FID against network evaluations per sample",
            lambda path: sweep_figure(
                records, steps, lambda row: float(row["passes"]), "network evaluations per sample", path
            ),
        ),
        (
            f"{key}-samples.png",
            "The first ten samples of each model at seed 0, not chosen",
            lambda path: strips_figure(strips(key, records, places), path),
        ),
    ]
    return [(words, folder / name) for name, words, draw in own if draw(folder / name)]


def heat(key: str, records: Sequence[Record], path: Path) -> bool:
    """Draw the map of schedules and losses, of the part that varies both."""
    return key == "heat_map" and heat_figure(records, "schedule", "loss", path)


def strips(key: str, records: Sequence[Record], places: Places) -> dict[str, Path]:
    """Return the row of samples of each model that has one."""
    pairs = ((model_of(record), strip_path(key, record["run"], places.records)) for record in records)
    return dict(sorted((name, path) for name, path in pairs if path.is_file()))


def made_by(records: Sequence[Record]) -> str:
    """Return which machine, commits and versions the records of a part are of."""
    devices = sorted({device_words(str(record["about"].get("device"))) for record in records})
    commits = sorted({str((record["about"].get("git") or {}).get("commit"))[:12] for record in records})
    torch = sorted({str((record["about"].get("versions") or {}).get("torch")) for record in records})
    several = "s" if len(commits) > 1 else ""
    facts = [f"device: {', '.join(devices)}", f"commit{several} {', '.join(commits)}"]
    return f"{len(records)} runs; {'; '.join(facts)}; torch {', '.join(torch)}."


def index_page(written: Sequence[Part], places: Places) -> str:
    """Return the first page: which model for which need, and what was measured."""
    listed = [f"- [{part.title}]({part.key}.md)" for part in written if part.key != "claims"]
    missing = [part.title for part in PARTS if part not in written]
    found = answers(lambda key: read_records(key, places.records))
    return "\n\n".join(
        [
            "# Benchmark",
            "## Which one should I use?",
            found or "Not measured yet.",
            "Tests are two-sided at 95 %, over training seeds; a model of one seed is better than nothing. "
            "[The protocol](../protocol.md) explains each measure, [choosing](../choosing.md) how to decide "
            "on images of your own.",
            "## What was measured",
            "\n".join(listed) or "Nothing yet.",
            *([f"Not measured yet: {', '.join(missing)}."] if missing else []),
            f"```sh\n{COMMAND} --list  # what is left, and how long it takes\n{COMMAND}  # go on, and make "
            f"these pages\n{COMMAND} --pages  # make these pages again, of the records\n```",
        ]
    )


def blocks(places: Places, runs: Path) -> dict[str, str]:
    """Return the blocks of the README: the answers, the first table, and the samples."""
    found = first_table(places, runs)
    about = next(part.about for part in PARTS if part.key == FIRST)
    picture = f"![Samples of each model, not chosen](docs/benchmark/{FIRST}-samples.png)"
    return {
        "table": f"Fashion-MNIST, {about}\n\n{markdown(found)}",
        "picture": picture,
        "answers": answers(lambda key: read_records(key, places.records)).replace("](", "](docs/benchmark/"),
    }


def family_block(family: str, places: Places, runs: Path) -> str:
    """Return the row of a family in the first table, empty where it has none."""
    if family not in {model_of(record) for record in read_records(FIRST, places.records)}:
        return ""
    found = first_table(places, runs)
    lines = [line for line in markdown(found).splitlines() if line.startswith("|")]
    own = [line for line in lines[2:] if re.match(rf"\| {family} +\|", line)]
    page = f"[Fashion-MNIST, at equal seconds](../benchmark/{FIRST}.md):"
    return "\n".join([page, "", *lines[:2], *own])


def write_claims(places: Places, runs: Path) -> None:
    """Write docs/claims.md where the runs of every claim are recorded, else leave it as it is."""
    if not read_records("claims", places.records):
        return
    with tempfile.TemporaryDirectory(dir=runs) as scratch:
        unpack("claims", places.records, Path(scratch))
        text, missing = claims_page(Path(scratch), CLAIMS)
    if not missing:
        write(places.docs / "claims.md", text)
