"""Leaderboards: the submissions in a folder, one table for each protocol, ranked by its first score."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.records.files import checksum
from genbench.records.units import device_words
from genbench.report.data_frame import Cell
from genbench.report.one_run import RunRecord, record_of
from genbench.report.protocol.file import Protocol, names, read_protocol
from genbench.report.protocol.submission import Row, Submission, read_submission
from genbench.report.runs import of_records
from genbench.report.table import Query, Table, table

__all__ = ["Board", "Origin", "boards", "check_new_figures", "read_submissions"]

COSTS = ("parameters", "training_seconds", "images_seen", "training_flops", "seconds_per_image")
"""Columns behind the scores, which rank nothing."""
MOST = 500  # files of a folder
SHOWN = 12  # digits of a hash
FAULTS = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""Errors that a file of a stranger may bring about in reading."""


class Origin(NamedTuple):
    """The origin of a row: the file it stands in and its name there, the code and the machine behind it."""

    file: str
    name: str
    code: str
    versions: str
    device: str
    result_hashes: str  # the first digits of the sha256 of each result.json


class Board(NamedTuple):
    """The leaderboard of one protocol."""

    protocol: Protocol
    remark: str  # says of a protocol that has the name of a shipped one, or none, which it is
    table: Table
    origins: list[Origin]  # one a line of the table


def read_submissions(folder: Path) -> tuple[dict[str, Submission], dict[str, str]]:
    """Read all *.json files in a folder: submissions by the names of the files, and the files that are none,
    each with the reason in one line.

    Raises FileNotFoundError where there is no such folder, or no .json file in it, ValueError on too many.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: name one with submissions, *.json")
    place = folder.resolve()
    paths = sorted(place.glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"no *.json in {folder}: `genbench submit` writes submissions")
    if len(paths) > MOST:
        raise ValueError(f"{folder} has {len(paths):,} files; at most {MOST} are read: use several folders")
    found, left_out = dict[str, Submission](), dict[str, str]()
    known = dict[str, str]()
    for path in paths:
        try:
            submission = read_submission(path)
            check_new_figures(path, submission, known)
            found[path.stem] = submission
        except FAULTS as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            # The page is published: it does not say where its maker has the files.
            why = str(why).replace(f"{place}/", "").replace(str(place), "the folder")
            left_out[path.name] = " ".join(why.split())[:300]
    return found, left_out


def check_new_figures(path: Path, submission: Submission, known: dict[str, str]) -> None:
    """Raise ValueError where a row has the very figures of a row of an earlier file, which would stand beside
    itself. known: the checksum of each row's figures so far -> its file; those of this one are added.
    """
    own = dict[str, str]()
    for row in submission.rows:
        results = {str(run["seed"]): run["result"] for run in row.runs}
        figures = {seed: [found["metrics"], found["likelihood"]] for seed, found in results.items()}
        key = checksum({"protocol": submission.protocol.sha256, "figures": figures})
        if key in known:
            raise ValueError(f"its row {row.name} has the very figures of a row of {known[key]}")
        if key in own:
            raise ValueError(f"its rows {own[key]} and {row.name} have the same figures: leave one out")
        own[key] = row.name
    known |= dict.fromkeys(own, path.name)


def boards(submissions: Mapping[str, Submission]) -> list[Board]:
    """Return a leaderboard for each protocol, by name and version; protocols of one name that differ in
    anything are two. Rows of several files are never pooled, even if their configurations are equal.
    """
    by_protocol: dict[str, dict[str, Submission]] = {}
    for name, submission in submissions.items():
        by_protocol.setdefault(submission.protocol.sha256, {})[name] = submission
    found = [board(part) for part in by_protocol.values()]
    return sorted(found, key=lambda x: (x.protocol.name, x.protocol.version, x.protocol.sha256))


def board(submissions: Mapping[str, Submission]) -> Board:
    """Lay out the leaderboard of submissions of one protocol, by the names of their files."""
    protocol = next(iter(submissions.values())).protocol
    records, origins = dict[str, RunRecord](), dict[tuple[str, str], Origin]()
    for name, submission in submissions.items():
        for number, row in enumerate(submission.rows, 1):
            entry = f"{number} {row.name}" if is_twin(row, submission.rows) else row.name
            origins[name, entry] = origin(name, entry, row)
            for run in row.runs:
                record = record_of(run["result"])
                own: dict[str, Cell] = {"submission": name, "entry": entry}
                records[f"{name} {entry} {run['seed']}"] = record._replace(
                    row=record.row | own, choices=[*record.choices, *own]
                )
    runs = of_records(records)
    columns = (*protocol.scores, *(cost for cost in COSTS if cost in runs.frame.columns))
    found = table(("", ""), runs, Query(by=("entry", "submission"), columns=columns))
    lines = [(str(line.cells("submission")[0]), str(line.cells("entry")[0])) for line in found.lines]
    return Board(protocol, remark(protocol), found, [origins[line] for line in lines])


def is_twin(row: Row, rows: Sequence[Row]) -> bool:
    """True where another row of a submission has the same name."""
    return any(other.name == row.name and other is not row for other in rows)


def origin(file: str, name: str, row: Row) -> Origin:
    """Return the origin of a row as text."""
    runs, first = row.runs, row.runs[0]
    versions = first["versions"]
    code = f"genbench {versions.get('genbench')}" + (
        f", commit {first['commit'][:SHOWN]}" if first["commit"] else ""
    )
    libraries = ", ".join(f"{key} {versions[key]}" for key in ("python", "torch") if versions.get(key))
    device = device_words(str(first["result"]["cost"].get("device")))
    hashes = ", ".join(str(run["files"].get("result.json"))[:SHOWN] for run in runs)
    return Origin(file, name, code, libraries, device, hashes)


def remark(protocol: Protocol) -> str:
    """Return sentences on what a reader must know of a protocol: that its seconds are of a machine, and that
    it is not one that this version of genbench ships; "" for none.
    """
    seconds = (
        "Machines whose devices have one name may still differ in speed."
        if protocol.unit == "seconds"
        else ""
    )
    return " ".join(filter(None, (seconds, unknown(protocol))))


def unknown(protocol: Protocol) -> str:
    """Return a sentence on a protocol that this version of genbench does not ship, "" for another."""
    if protocol.name in names():
        if read_protocol(protocol.name).sha256 == protocol.sha256:
            return ""
        return "It has the name of a protocol that this version of genbench ships, and differs from it."
    return "It is none of the protocols that this version of genbench ships: the submissions brought it."
