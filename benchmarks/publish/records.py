"""What the pages need of each run, a few kilobytes, kept in the repository: the pages are made of it alone.

`keep` takes it from the directories of runs, `unpack` makes directories of it again, which the reports read.
"""

import json
import lzma
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import typer
import yaml

from benchmarks.commands import ROOT
from benchmarks.publish.planned import Planned
from genbench.records.files import atomic_file, read_json, write_json_atomic
from genbench.records.json_lines import Lines, parse_lines
from genbench.records.metric_name import is_metric
from genbench.records.recorded_overrides import OVERRIDES, read_overrides

__all__ = [
    "CONDITIONS",
    "FOLDERS",
    "LEAST_SHARE",
    "REAL",
    "RECORDS",
    "SAMPLERS",
    "STRIP",
    "commit_of",
    "is_disturbed",
    "is_recorded",
    "keep",
    "picture_path",
    "read_records",
    "record_of",
    "unpack",
    "was_disturbed",
]

RECORDS = ROOT / "docs" / "benchmark" / "records"
STRIP, REAL = "strip.png", "real.png"
"""Files in the directory of a run with a row of its samples, and of real images, which the repository keeps
beside its record."""
LARGEST = 2**28
"""Bytes of the records of a part at most, unpacked."""
POINTS = 40
"""Events of a log that are kept at most, beside those with scores."""
OF_RUN = (
    *("identity", "status", "error", "machine_fault", "started", "device", "precision", "seed", "git"),
    "versions",
)
CONDITIONS = "conditions.json"
"""File in the directory of a run with its machine and threads, how many runs were executed at once, and the
share of its core that it had."""
LEAST_SHARE = 0.85
"""Of its core that a run needs at least: with less, other work took seconds of its budget. Without any, a run
has some 0.97: it starts, and waits for the disk."""
SAMPLERS = "sampler_sweeps/samplers/table.csv"
"""File in the directory of a run of the claims with its sweep over samplers and numbers of steps."""
MEASURED = (
    *(CONDITIONS, "halves.json", "copies.json", SAMPLERS),
    *("sampler_sweeps/scales/table.csv", "sampler_sweeps/steps/table.csv"),
)
"""Files of a few lines in the directory of a run that its record holds, beside what genbench writes."""
FOLDERS = ("runs_dir", "data.root", "data.download")
"""Overrides on folders of the machine, which are no part of a record."""
AXES = ("images_seen", "training_seconds")


def keep(part: str, folders: Sequence[Path], records: Path) -> Path | None:
    """Write the records of some runs of a part, sorted by their names; None, and nothing is written, where no
    run has ended. Runs that are recorded already and are not among these remain.
    """
    found = {name: record for record in read_records(part, records) if (name := record["run"])}
    found |= {folder.name: record for folder in folders if (record := record_of(folder)) is not None}
    if not found:
        return None
    lines = "".join(f"{json.dumps(found[name], sort_keys=True)}\n" for name in sorted(found))
    path = path_of(part, records)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(lzma.compress(lines.encode(), preset=9))
    for folder in folders:
        for picture in (folder / name for name in (STRIP, REAL)):
            if picture.is_file():
                to = picture_path(part, folder.name, picture.name, records)
                to.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(to) as file:
                    file.write(picture.read_bytes())
    return path


def path_of(part: str, records: Path) -> Path:
    """Return the file with the records of a part: JSON lines, compressed."""
    return records / f"{part}.jsonl.xz"


def picture_path(part: str, run: str, name: str, records: Path) -> Path:
    """Return where a picture of a run is kept, by its name in the run's directory."""
    return records / "strips" / f"{part}-{run}{'-real' if name == REAL else ''}.png"


def commit_of(git: Mapping[str, Any]) -> str:
    """Return the commit of a run, in short, with a word where its code had changes; "unknown" without git."""
    return f"{str(git.get('commit') or 'unknown')[:12]}{' with changes' if git.get('dirty') else ''}"


def is_disturbed(conditions: object) -> bool:
    """Return True for the conditions of a run that had too little of its core."""
    share = conditions.get("core_share") if isinstance(conditions, dict) else None
    return isinstance(share, float) and share < LEAST_SHARE


def was_disturbed(record: Mapping[str, Any]) -> bool:
    """Return True for the record of a run that had too little of its core."""
    content = record["files"].get(CONDITIONS)
    return content is not None and is_disturbed(json.loads(content))


def is_recorded(
    record: Mapping[str, Any] | None, planned: Planned, records: Path
) -> Literal["done", "failed", "disturbed"] | None:
    """Return how a planned run ended, by its record; None where it has none, or one that lacks something
    that is measured later.
    """
    if record is None:
        return None
    if record.get("result") is None:
        return "failed"
    pictures = [
        name for name in (STRIP, REAL) if picture_path(planned.key, record["run"], name, records).is_file()
    ]
    known = [*record["files"], *pictures]
    names = [f"{later.name}/" for later in planned.later]
    if not all(any(f"{file}/".startswith(name) for file in known) for name in names):
        return None
    return "disturbed" if was_disturbed(record) else "done"


def record_of(folder: Path) -> dict[str, Any] | None:
    """Return the record of a run that is finished, or failed by itself; None of any other."""
    about = read_json(folder / "run.json") or {}
    result = read_json(folder / "result.json")
    is_failed = about.get("status") == "failed" and not about.get("machine_fault")
    if result is None and not is_failed:
        return None
    own = {} if result is None else {"result": {k: x for k, x in result.items() if k != "noise"}}
    config = about.get("config") if result is None else None
    words = [word for word in read_overrides(folder) if word.partition("=")[0] not in FOLDERS]
    files = {name: (folder / name).read_text() for name in MEASURED if (folder / name).is_file()}
    return without_paths(
        {
            "run": folder.name,
            "group": folder.parent.name,
            "about": {name: about.get(name) for name in OF_RUN} | {"sessions": times(about)},
            "config": config,
            "overrides": words,
            "events": list(thinned(folder)),
            "files": files,
            **own,
        }
    )


def times(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return when each part of a training began and ended; what else there is belongs to the machine."""
    sessions = about.get("sessions") or []
    return [{end: each.get(end) for end in ("started", "ended")} for each in sessions]


def without_paths(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without folders of the machine: the root of its data, and that of its runs."""
    result = record.get("result") or {}
    for config in (record["config"] or {}, result.get("config") or {}):
        config.pop("runs_dir", None)
        if isinstance(config.get("data"), dict) and "root" in config["data"]:
            config["data"]["root"] = None
    return record


def thinned(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a run's log with a score, and of the others some 40 with a loss, evenly."""
    path = folder / "metrics.jsonl"
    events = [*parse_lines(path.read_bytes()).objects.values()] if path.is_file() else []
    losses = [event for event in events if any(name.endswith("/loss") for name in event)]
    step = -(-len(losses) // POINTS) or 1
    shown = {id(event) for event in losses[::step]}
    for event in events:
        found = {name: x for name, x in event.items() if is_score(name) or name.endswith("/loss")}
        if id(event) in shown or any(map(is_score, found)):
            yield {name: event[name] for name in AXES if name in event} | found


def is_score(name: str) -> bool:
    """Return True for the name of a score in a log: training/fid[..], validation/fid[..]."""
    head, slash, metric = name.partition("/")
    return bool(slash) and head in ("training", "validation") and is_metric(metric)


def read_records(part: str, records: Path) -> list[dict[str, Any]]:
    """Return the records of a part, none where nothing was kept.
    Raises typer.BadParameter on a damaged file, and on one with what no record of a run has.
    """
    path = path_of(part, records)
    if not path.is_file():
        return []
    packed = lzma.LZMADecompressor()
    try:
        lines = parse_lines(packed.decompress(path.read_bytes(), LARGEST))
    except lzma.LZMAError:
        lines = Lines({}, [1])
    found = [*lines.objects.values()]
    if lines.damaged or not packed.eof or not all(map(is_record, found)):
        raise typer.BadParameter(f"{path} is damaged: restore it from git, or delete it and repeat its runs")
    return found


def is_record(found: Mapping[str, Any]) -> bool:
    """Return True where all that a record names is a file in the directory of its run, by one name each."""
    places = (found.get("group"), found.get("run"))
    names = all(isinstance(place, str) and re.fullmatch(r"\w[\w.=,+-]*", place) for place in places)
    files = found.get("files")
    return names and isinstance(files, dict) and all(name in MEASURED for name in files)


def unpack(records: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write records as directories of runs below a folder, as reports read them; returns these."""
    return [unpacked(record, folder / record["group"] / record["run"]) for record in records]


def unpacked(record: Mapping[str, Any], here: Path) -> Path:
    """Write one record as the directory of a run."""
    result = record.get("result")
    config = record["config"] if result is None else result.get("config")
    files = {OVERRIDES.as_posix(): yaml.safe_dump(record["overrides"]), **record["files"]}
    files["metrics.jsonl"] = "".join(f"{json.dumps(event)}\n" for event in record["events"])
    for name, content in files.items():
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    write_json_atomic(here / "run.json", {**record["about"], "config": config})
    if result is not None:
        write_json_atomic(here / "result.json", result)
    return here
