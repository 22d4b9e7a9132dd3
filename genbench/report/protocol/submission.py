"""Submissions: one JSON file with the figures of runs that passed a protocol, and all they follow from.

The same runs give the same bytes: nothing in a file is of the time or the place where it was made.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.records.feature_network import recorded_networks
from genbench.records.files import checksum, plain, read_json, sealed
from genbench.records.identity import without_machine_keys
from genbench.records.result import NOT_FINITE
from genbench.records.shipped_networks import check_stated
from genbench.records.untrusted_files import RECORD_BYTES, open_regular, parse_json, read_regular
from genbench.report.one_run import read_run, record_of
from genbench.report.protocol.checks import checks, is_number
from genbench.report.protocol.file import BITS, Protocol, expect
from genbench.report.row_names import row_names
from genbench.report.runs import of_records, run_folders
from genbench.report.statistics import ROUNDING, estimate
from genbench.report.table import Query, table

__all__ = ["Row", "Submission", "read_submission", "rows_of", "submission_text"]

FORMAT = "genbench submission 1"
BYTES = 8 * 2**20  # of a file; a row of three seeds has about 50 kB
MOST_ROWS, MOST_RUNS, LONGEST = 100, 50, 2000
RESULT = {"genbench": str, "status": str, "identity": str, "data_key": str, "choices": dict, "seed": int}
RESULT |= {"config": dict, "metrics": dict, "likelihood": dict, "reconstruction": dict, "cost": dict}
RESULT |= {"kinds": dict, "feature_networks": dict}
"""Sections of a result that a submission holds, with their types."""
RUN = {"seed": int, "dirty": object, "commit": object, "versions": dict, "files": dict, "result": dict}
FILES = ("run.json", "result.json", "metrics.jsonl", "checkpoints/last.pt")
"""Files of a run whose sha256 a submission states, as far as they are there."""
NUMBERS = ("metrics", "likelihood", "reconstruction", "cost")
"""Sections of a result that hold numbers, which are finite in a submission."""
NO_CHOICES = ("tracker", "experiment", "sweep", "tuned")
"""Choices of options that are no part of a model: its settings say all that they bring."""


@dataclass(frozen=True)
class Row:
    """One configuration in a submission: its name, and its runs as a submission holds them, one a seed."""

    name: str
    runs: Sequence[Mapping[str, Any]]

    def summary(self, protocol: Protocol) -> dict[str, dict[str, float | int | None]]:
        """Return mean, standard deviation over seeds (n - 1) and n of each score of the protocol, by name."""
        found = {}
        for score in protocol.scores:
            x = estimate([float(value(run, score)) for run in self.runs])
            found[score] = {"mean": x.mean, "std": x.std, "n": x.n}
        return found


@dataclass(frozen=True)
class Submission:
    """The content of a file: the protocol as it stood, and the rows."""

    protocol: Protocol
    rows: Sequence[Row]


def rows_of(runs_dir: Path) -> tuple[list[Row], dict[str, str]]:
    """Read the finished runs below a directory, a row for each configuration, and name those that cannot be
    submitted, each with the reason.

    Raises FileNotFoundError where there is no such directory, or no run in it.
    """
    if not runs_dir.is_dir():
        raise FileNotFoundError(f"{runs_dir} is not a directory: name the one that the runs were written to")
    found, left_out = dict[str, Mapping[str, Any]](), dict[str, str]()
    for name, folder in sorted(run_folders(runs_dir)):
        try:
            read_run(folder)  # which says what is wrong with a run as a report does
            found[name] = run_record(folder)
        except (OSError, ValueError) as error:
            left_out[name] = " ".join(str(error).split())
    if not found and not left_out:
        raise FileNotFoundError(f"there is no run below {runs_dir}: train some, see `genbench protocol`")
    return rows(found), left_out


def rows(found: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return runs by their names as rows, one for each configuration, named as those of a report are."""
    if not found:
        return []
    runs = of_records({name: record_of(run["result"]) for name, run in found.items()})
    laid_out = table(("", ""), runs, Query())
    return [
        Row(name, sorted((found[run] for run in line.runs), key=lambda run: run["seed"]))
        for name, line in zip(row_names(laid_out), laid_out.lines, strict=True)
    ]


def run_record(folder: Path) -> dict[str, Any]:
    """Return one run as a submission holds it: the parts of its result that follow from its configuration,
    without paths of this machine, the code that made it, and the hashes of its files.

    Raises ValueError on a record that lacks them, OSError where a file cannot be read.
    """
    record = read_json(folder / "run.json") or {}
    result = parse_json(read_regular(folder / "result.json", at_most=RECORD_BYTES, inside=folder))
    kept = {key: deepcopy(result.get(key, {} if kind is dict else None)) for key, kind in RESULT.items()}
    config = kept["config"]
    if type(kept["seed"]) is not int or not isinstance(config.get("data"), dict):
        raise ValueError("damaged: its result has no seed, or no configuration of the data")
    objective = config.get("objective")
    without_machine_keys(config)
    config |= {"objective": objective}
    kept["choices"] = {key: x for key, x in kept["choices"].items() if key not in NO_CHOICES}
    # Of weights that no table shows a score may be nan, for which JSON has no word.
    for key in NUMBERS:
        kept[key] = {name: x for name, x in kept[key].items() if x not in NOT_FINITE}
    git = record.get("git")
    git = git if isinstance(git, dict) else {}
    versions = record.get("versions")
    return {
        "seed": kept["seed"],
        "commit": git.get("commit"),
        "dirty": git.get("dirty"),
        "versions": versions if isinstance(versions, dict) else {},
        "files": {name: sha256(folder, name) for name in FILES if os.path.lexists(folder / name)},
        "result": kept,
    }


def sha256(folder: Path, name: str) -> str:
    """Return the sha256 of a file of a run, 64 hex digits. Raises as `open_regular` does."""
    with open_regular(folder / name, inside=folder) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def submission_text(protocol: Protocol, found: Sequence[Row]) -> str:
    """Return the file of a submission of rows that passed all checks, as JSON under a checksum.

    It is read back as a leaderboard reads it, so that what is written is what one takes. Raises ValueError
    where it is not, such as on more rows, longer texts or more bytes than are read.
    """
    content = {
        "format": FORMAT,
        "protocol": protocol.to_record(),
        "protocol_sha256": protocol.sha256,
        "rows": [
            {"name": row.name, "summary": row.summary(protocol), "runs": list(row.runs)} for row in found
        ],
    }
    content = plain(content)
    text = f"{json.dumps(sealed('submission', content), indent=1, sort_keys=True, allow_nan=False)}\n"
    try:
        parsed(text.encode())
    except ValueError as error:
        raise ValueError(f"no leaderboard would take these runs: {error}") from error
    return text


def read_submission(path: Path) -> Submission:
    """Read a file that a stranger may have made: exact keys, finite numbers, checksums, and the checks of the
    protocol that it holds. A link out of its folder is not followed.

    Raises ValueError, in one line, on anything that `submission_text` would not have written; OSError where
    it cannot be read.
    """
    return parsed(read_regular(path, at_most=BYTES, inside=path.parent))


def parsed(file: bytes) -> Submission:
    """Read the content of a file. Raises ValueError as `read_submission` does."""
    if len(file) > BYTES:
        raise ValueError(f"it has {len(file):,} bytes; at most {BYTES:,} are read: use several files")
    found = expect(parse_json(file), {"sha256": str, "submission": dict}, "the file")
    if found["sha256"] != checksum(found["submission"]):
        raise ValueError("its checksum is wrong: the file was changed after it was written")
    kinds = {"format": str, "protocol": dict, "protocol_sha256": str, "rows": list}
    content = expect(found["submission"], kinds, "the submission")
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format'][:40]!r}, not {FORMAT!r}")
    protocol = Protocol.of(content["protocol"])
    if content["protocol_sha256"] != protocol.sha256:
        raise ValueError("the hash of its protocol is wrong")
    if not 0 < len(content["rows"]) <= MOST_ROWS:
        raise ValueError(f"it has {len(content['rows'])} rows; legal are 1 to {MOST_ROWS} a file")
    return Submission(protocol, [read_row(row, protocol) for row in content["rows"]])


def read_row(found: object, protocol: Protocol) -> Row:
    """Read one row of a submission. Raises ValueError as `read_submission` does."""
    content = expect(found, {"name": str, "summary": dict, "runs": list}, "a row")
    if not 0 < len(content["runs"]) <= MOST_RUNS:
        raise ValueError(f"a row has {len(content['runs'])} runs; legal are 1 to {MOST_RUNS}")
    for run in content["runs"]:
        check_run(run)
    check_values(content)
    row = Row(content["name"], content["runs"])
    if faults := [fault for check in checks(protocol, row.runs) for fault in check.faults]:
        raise ValueError(f"{row.name} breaks the protocol: {faults[0]}")
    if not is_near(content["summary"], row.summary(protocol)):
        raise ValueError(f"mean and standard deviation of {row.name} are not those of its runs")
    return row


def is_near(stated: object, computed: Mapping[str, Mapping[str, float | None]]) -> bool:
    """True where a summary is the one that follows from the runs, up to how another Python rounds sums."""
    if not isinstance(stated, dict) or stated.keys() != computed.keys():
        return False
    for score, numbers in computed.items():
        found = stated[score]
        if not isinstance(found, dict) or found.keys() != numbers.keys():
            return False
        if not all(is_same(found[name], x) for name, x in numbers.items()):
            return False
    return True


def is_same(stated: object, computed: float | None) -> bool:
    """True of two numbers that differ by rounding, or of twice None."""
    if computed is None or not is_number(stated):
        return stated is computed
    return math.isclose(stated, computed, rel_tol=ROUNDING)


def check_run(found: object) -> None:
    """Raise ValueError unless a run of a submission has exactly the keys that `run_record` gives it, and its
    result can stand in a table.
    """
    run = expect_run(found)
    result = expect(run["result"], RESULT, "a result")
    if run["seed"] != result["seed"] or result["status"] != "done":
        raise ValueError("a run is not finished, or its seed is not that of its result")
    if not isinstance(result["config"].get("data"), dict):
        raise ValueError("a configuration has no data")
    if bad := [name for key in NUMBERS for name, x in result[key].items() if x in NOT_FINITE]:
        raise ValueError(f"{bad[0][:80]} is not a finite number")
    check_stated(recorded_networks(result))
    record_of(result)


def expect_run(found: object) -> dict[str, Any]:
    """Return a run with exactly the keys of `RUN`. Raises ValueError on other keys and types."""
    if not isinstance(found, dict) or found.keys() != RUN.keys():
        raise ValueError(f"a run must have exactly the keys {', '.join(RUN)}")
    typed = {key: kind for key, kind in RUN.items() if kind is not object}
    expect({key: found[key] for key in typed}, typed, "a run")
    texts = [*found["versions"].values(), *found["files"].values()]
    if not all(x is None or isinstance(x, str) for x in (found["commit"], *texts)):
        raise ValueError("commit, versions and files of a run must be text")
    if not (found["dirty"] is None or isinstance(found["dirty"], bool)):
        raise ValueError("`dirty` of a run must be true, false or null")
    return found


def check_values(node: object) -> None:
    """Raise ValueError on numbers that are not finite, and on texts that are too long, at any depth."""
    if isinstance(node, dict | list):
        for child in [*node, *node.values()] if isinstance(node, dict) else node:
            check_values(child)
    elif isinstance(node, str) and len(node) > LONGEST:
        raise ValueError(f"a text has {len(node):,} characters; at most {LONGEST:,} are read")
    elif isinstance(node, float) and not abs(node) < float("inf"):
        raise ValueError(f"it holds the number {node}, which is not finite")
    elif isinstance(node, int) and abs(node) >= 2**63:
        raise ValueError("it holds a number of more than 63 bits")


def value(run: Mapping[str, Any], score: str) -> Any:  # noqa: ANN401
    """Return a score of a run by its full name, or its bits per dimension."""
    result = run["result"]
    return result["likelihood"][BITS] if score == BITS else result["metrics"][score]
