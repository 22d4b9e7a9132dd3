"""The commands that repeat the runs of a part, as its page shows them."""

import shlex
from collections.abc import Sequence

from benchmarks.publish.records import MACHINE, commit_of
from benchmarks.publish.winners import Record

__all__ = ["commands"]


def commands(records: Sequence[Record]) -> str:
    """Return a section with a command for each row, its seeds and its commits, as Markdown; overrides with
    folders of the machine are left out.
    """
    rows: dict[str, list[Record]] = {}
    for record in records:
        rows.setdefault(command(record["overrides"]), []).append(record)
    lines = [f"# {made(own)}\n{words}" for words, own in rows.items()]
    return "\n".join(["## The command of each row", "", "```sh", *lines, "```"])


def command(overrides: Sequence[str]) -> str:
    """Return the command of a run at its default seed."""
    left_out = ("seed", *MACHINE)
    words = [word for word in overrides if word.partition("=")[0] not in left_out]
    return shlex.join(["python", "main.py", *words])


def made(records: Sequence[Record]) -> str:
    """Return the seeds of some runs and the commits that they were made at."""
    seeds = sorted({str(record["about"].get("seed")) for record in records})
    commits = sorted({commit_of(record["about"].get("git") or {}) for record in records})
    return f"seed={','.join(seeds)}; commit {', '.join(commits)}"
