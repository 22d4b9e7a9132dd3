"""What the pages are made of: the records of the planned runs, and which of these there are not."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.publish.execute import Job
from benchmarks.publish.records import LEAST_SHARE, read_records, unpack, was_disturbed
from benchmarks.publish.winners import Record
from genbench.report.compare import Comparison, compare
from genbench.report.table import Query

__all__ = ["Book", "Chapter"]


class Chapter(NamedTuple):
    """The runs of one part: those planned, with the records of those of them that have ended.

    others: records of runs that are planned no more, such as those of other settings, which no page shows.
    """

    planned: Sequence[Job]
    records: Sequence[Record]
    others: int

    @property
    def missing(self) -> list[Job]:
        """The planned runs without a record."""
        known = {record["run"] for record in self.records}
        return [job for job in self.planned if job.path.name not in known]

    @property
    def has_every_row(self) -> bool:
        """True where a run of every model that is planned is recorded, be it of one seed."""
        recorded = {job.path.name for job in self.planned} - {job.path.name for job in self.missing}
        shown = {job.planned.model for job in self.planned if job.path.name in recorded}
        return bool(shown) and shown == {job.planned.model for job in self.planned}

    @property
    def so_far(self) -> str:
        """How many of the planned runs are recorded, empty where all are."""
        return f"{len(self.records)} of {len(self.planned)} runs so far" if self.missing else ""

    @property
    def gaps(self) -> list[str]:
        """Sentences on the planned runs that are not measured yet, on those that failed, and on those that
        other work disturbed, by model; none where all have finished.
        """
        missing = self.counted(job.path.name for job in self.missing)
        return [*([f"Not measured yet: {missing}."] if missing else []), *self.failed, *self.disturbed]

    @property
    def failed(self) -> list[str]:
        """A sentence on the runs that failed by themselves, by model; none where there are none."""
        runs = self.counted(record["run"] for record in self.records if not record.get("result"))
        return [f"Failed by themselves, so that no number is of them: {runs}."] if runs else []

    @property
    def disturbed(self) -> list[str]:
        """A sentence on the runs that had too little of their core, by model; none where all had enough."""
        runs = self.counted(record["run"] for record in self.records if was_disturbed(record))
        words = f"Disturbed by other work, with less than {100 * LEAST_SHARE:.0f} % of a core"
        return [f"{words} (`--retry` repeats them): {runs}."] if runs else []

    def counted(self, runs: Iterable[str]) -> str:
        """Return how many of the planned runs of which models some runs are, models of like counts together:
        "2 of 3 runs each of ddpm, gan".
        """
        chosen = {*runs}
        some = Counter(job.planned.model for job in self.planned if job.path.name in chosen)
        total = Counter(job.planned.model for job in self.planned)
        alike: dict[tuple[int, int], list[str]] = {}
        for name in sorted(some):
            alike.setdefault((some[name], total[name]), []).append(name)
        return "; ".join(count_words(n, of, names) for (n, of), names in alike.items())


def count_words(n: int, of: int, names: Sequence[str]) -> str:
    """Return "1 of 1 run of gan", or "2 of 3 runs each of ddpm, gan"."""
    return f"{n} of {of} run{'s' * (of > 1)}{' each' * (len(names) > 1)} of {', '.join(names)}"


class Book:
    """The chapters of a plan, by the keys of its parts."""

    def __init__(self, jobs: Sequence[Job], records: Path, scratch: Path) -> None:
        """scratch: a folder in which records are laid out for a moment, as reports read them."""
        self.scratch = scratch
        planned: dict[str, list[Job]] = {}
        for job in jobs:
            planned.setdefault(job.planned.key, []).append(job)
        self.chapters = {key: chapter(key, own, records) for key, own in planned.items()}

    def __getitem__(self, key: str) -> Chapter:
        """Return the chapter of a part, an empty one where it has no run."""
        return self.chapters.get(key, Chapter([], [], 0))

    @property
    def hours(self) -> float:
        """Hours that all planned runs take, two at once, roughly."""
        runs = (job.planned for own in self.chapters.values() for job in own.planned)
        return sum(planned.whole_seconds for planned in runs) / 3600 / 2

    def compared(self, key: str, query: Query) -> Comparison:
        """Lay out the tables of the recorded runs of a part."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            unpack(self[key].records, Path(folder))
            return compare(Path(folder), query, unfinished=True)


def chapter(key: str, planned: Sequence[Job], records: Path) -> Chapter:
    """Read the records of the planned runs of a part."""
    names = {job.path.name for job in planned}
    found = read_records(key, records)
    own = [record for record in found if record["run"] in names]
    return Chapter(planned, own, len(found) - len(own))
