"""The commands that repeat the runs of a part, as its page shows them."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmarks.publish.book import Chapter
from benchmarks.publish.records import FOLDERS, commit_of
from benchmarks.publish.winners import Record

__all__ = ["commands"]

ONE_THREAD = (
    "Each run had one thread on a core of its own: set `OMP_NUM_THREADS=1 MKL_NUM_THREADS=1`, and on Linux "
    "begin with `taskset -c 0`. Data that lie on the machine already are named by `data.root=PATH`."
)
AFTERWARDS = "Measured afterwards of each finished run, RUN, with the result in a file or in DIR:"


def commands(own: Chapter) -> str:
    """Return a section with a command for each row, its seeds and its commits, and with those that measured
    finished runs, as Markdown; overrides with folders of the machine are left out.
    """
    rows: dict[str, list[Record]] = {}
    for record in own.records:
        rows.setdefault(command(record["overrides"]), []).append(record)
    lines = [f"# {made(of_row)}\n{words}" for words, of_row in rows.items()]
    found = ["## The command of each row", "", ONE_THREAD, "", *shell(lines)]
    if later := measured_later(own):
        found += ["", AFTERWARDS, "", *shell(later)]
    return "\n".join(found)


def shell(lines: Sequence[str]) -> list[str]:
    """Return a block of commands."""
    return ["```sh", *lines, "```"]


def command(overrides: Sequence[str]) -> str:
    """Return the command of a run at its first seed."""
    words = [word for word in overrides if word.partition("=")[0] not in ("seed", *FOLDERS)]
    return shlex.join(["python", "main.py", *words, "seed=0"])


def made(records: Sequence[Record]) -> str:
    """Return which seeds of a row were trained at which commits, with those that failed: "commit a: seed=0,1;
    commit b: seed=2 (failed)".
    """
    seeds: dict[str, list[tuple[int, str]]] = {}
    for record in records:
        failed = "" if record.get("result") else " (failed)"
        seed = int(record["about"].get("seed") or 0)
        commit = commit_of(record["about"].get("git") or {})
        seeds.setdefault(commit, []).append((seed, failed))
    texts = {
        commit: ",".join(f"{seed}{words}" for seed, words in sorted(own)) for commit, own in seeds.items()
    }
    return "; ".join(f"commit {commit}: seed={text}" for commit, text in texts.items())


def measured_later(own: Chapter) -> list[str]:
    """Return the commands that measure finished runs, each with its models where not all have it."""
    models = {job.planned.model for job in own.planned}
    found: dict[str, set[str]] = {}
    for job in own.planned:
        for later in job.planned.later:
            out = later.name if Path(later.name).suffix else "DIR"
            words = [out if word == "OUT" else word for word in later.words]
            found.setdefault(shlex.join(["python", "-m", *words]), set()).add(job.planned.model)
    of_some = {words: "" if of == models else f"  # {', '.join(sorted(of))}" for words, of in found.items()}
    return [f"{words}{note}" for words, note in of_some.items()]
