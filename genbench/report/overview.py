"""The head of a report: number of runs, seeds, dates, versions, devices, runs in progress."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from genbench.records.files import read_json
from genbench.report.compare import Comparison
from genbench.report.data_frame import Cell, cells, present
from genbench.report.numbers import written
from genbench.report.unfinished import in_progress

__all__ = ["overview"]

SHOWN = 5  # seeds, versions and devices that are listed before they are counted


def overview(found: Comparison) -> str:
    """Return the head of a report in a line or two: "27 runs, seeds 0, 1, 2, from 2026-11-30 01:08 to 01:31
    UTC, genbench 0.1.0, cpu (1 thread). 2 runs in progress."

    What was not recorded is left out. Where there are several tables it says that their numbers do not
    compare. Plain text, which holds words of the runs.
    """
    frame, paths = found.runs.trained.frame, found.runs.paths
    seeds = listed("seed", cells(frame, "seed"))
    dates, versions = records(paths[str(run)] for run in cells(frame, "run") if str(run) in paths)
    words = [counts(cells(found.runs.frame, "given"))]
    if found.replaced:
        words[0] += f" ({len(found.replaced):,} not counted)"
    words += [seeds, period(dates), *([f"genbench {', '.join(versions)}"] if versions else [])]
    words.append(", ".join(shortened(map(written, present(cells(frame, "device"))))))
    several = ""
    if len(found.tables) > 1:
        several = "Numbers of different tables, which differ in data or protocol, do not compare."
    line = f"{', '.join(filter(None, words))}."
    return " ".join(filter(None, (line, several, in_progress(found.runs))))


def counts(given: list[Cell]) -> str:
    """Return the number of runs, and of the sets of images that another tool made: 7 runs and 1 set of images
    of another tool; given: of each of both, where its images came from, None of a run.
    """
    sets = len(present(given))
    runs = len(given) - sets
    words = [f"{runs:,} {'run' if runs == 1 else 'runs'}"] if runs or not sets else []
    words += [f"{sets:,} {'set' if sets == 1 else 'sets'} of images of another tool"] if sets else []
    return " and ".join(words)


def records(folders: Iterable[Path]) -> tuple[list[datetime], list[str]]:
    """Return when the runs in some directories began and ended, and the versions of genbench they name.

    A run.json that is missing or damaged, or that holds no time, adds nothing.
    """
    times, versions = list[datetime](), set[str]()
    for folder in folders:
        try:
            record = read_json(folder / "run.json") or {}
        except (OSError, ValueError):
            continue
        sessions = record.get("sessions")
        known = [x for x in sessions if isinstance(x, dict)] if isinstance(sessions, list) else []
        moments = [record.get("started"), *(x.get(end) for x in known for end in ("started", "ended"))]
        times += [moment for text in moments if (moment := time_of(text)) is not None]
        named = record.get("versions")
        if isinstance(named, dict) and isinstance(named.get("genbench"), str):
            versions.add(named["genbench"])
    return times, shortened(sorted(versions))


def time_of(text: object) -> datetime | None:
    """The time that ISO 8601 text says, in UTC; None of all else."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def period(times: list[datetime]) -> str:
    """Return the first and the last of some times: from 2026-11-30 01:08 to 01:31 UTC, or the one minute of
    them all: on 2026-11-30 01:08 UTC; "" of none.
    """
    if not times:
        return ""
    first, last = (moment.replace(second=0, microsecond=0) for moment in (min(times), max(times)))
    if first == last:
        return f"on {first:%Y-%m-%d %H:%M} UTC"
    end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"from {first:%Y-%m-%d %H:%M} to {end} UTC"


def listed(name: str, values: list[Cell]) -> str:
    """Return the different values of a column behind its name: seed 0; seeds 0, 1, 2."""
    found = shortened(sorted(present(values), key=lambda x: (isinstance(x, str), str(x).zfill(20))))
    return f"{name}{'' if len(found) == 1 else 's'} {', '.join(found)}" if found else ""


def shortened(values: Iterable[object]) -> list[str]:
    """Return the different ones of some values as text, the first few of many and the number of the rest."""
    found = [*dict.fromkeys(str(value) for value in values if value is not None)]
    return [*found[:SHOWN], *([f"{len(found) - SHOWN} more"] if len(found) > SHOWN else [])]
