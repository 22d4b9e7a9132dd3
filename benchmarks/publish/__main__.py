"""The published benchmark, from its plan to its pages: `python -m benchmarks.publish`."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands import ROOT
from benchmarks.console import Only, chosen
from benchmarks.publish.execute import Job, Limits, execute, jobs_of, seconds_left
from benchmarks.publish.pages import Places, write_pages
from benchmarks.publish.plan import PARTS, plan
from benchmarks.publish.planned import FULL, TOY, Place
from benchmarks.publish.records import RECORDS, keep

__all__ = ["main"]

RUNS = ROOT / "runs" / "benchmark"


def main(
    runs: Annotated[Path, typer.Option(help="Directory of the runs.")] = RUNS,
    data_root: Annotated[
        Path | None, typer.Option(help="Fashion-MNIST in torchvision's layout. Default: it is downloaded.")
    ] = None,
    only: Only = "",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once, each with one thread on a core.")] = 2,
    minutes: Annotated[
        float, typer.Option(min=0, help="Begin no run that would end after so many minutes.")
    ] = math.inf,
    what_is_left: Annotated[bool, typer.Option("--list", help="Say what is left, and how long it takes.")] = (
        False
    ),
    background: Annotated[
        bool, typer.Option("--background", help="Go on in a process of its own; publish.log has its lines.")
    ] = False,
    pages: Annotated[
        bool,
        typer.Option("--pages", help="Execute nothing: record what is finished, and make the pages."),
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Repeat runs that failed, or that other work disturbed.")
    ] = False,
    toy: Annotated[
        bool, typer.Option("--toy", help="Toy sizes, to try the machinery: pages go into the runs' folder.")
    ] = False,
) -> None:
    """Execute the runs that are missing, keep their records, and write the pages of the benchmark.

    It can be stopped at any moment, by Ctrl-C or by a signal: the same command goes on. A finished run is
    found again, by its directory or its record, and an unfinished one is resumed. A record is written as each
    run ends. Exit code 1 where runs are not done at the end.
    """
    keys = chosen(only, [part.key for part in PARTS])
    runs, size = runs.resolve(), TOY if toy else FULL
    places = Places(ROOT / "docs", RECORDS, ROOT / "README.md", size)
    if toy:
        places = Places(runs / "docs", runs / "docs" / "benchmark" / "records", None, size)
    if background and not (what_is_left or pages):
        detach(runs)
        return
    root = None if data_root is None else data_root.resolve()
    where = Place(root, places.records, only_listed=what_is_left or pages)
    others = [part.key for part in PARTS if part.key not in keys]  # which the pages have, too
    planned = [*plan(keys, size, where), *plan(others, size, where._replace(only_listed=True))]
    every = jobs_of(planned, runs, places.records, retried=retry)
    todo = [job for job in every if job.planned.key in keys]
    if what_is_left:
        typer.echo("\n".join(listed(keys, todo, jobs)))
        return
    left = [] if pages else execute(todo, runs, Limits(jobs, 60 * minutes), recorder(places.records))
    for key in keys if runs.is_dir() else ():
        keep(key, [job.path for job in todo if job.planned.key == key], places.records)
    write_pages(places, runs, every)
    if left:
        typer.echo(f"{len(left)} of {len(todo)} runs are not done: {runs / 'publish.log'}", err=True)
        raise typer.Exit(code=1)


def recorder(records: Path) -> Callable[[Job], object]:
    """Return what keeps the record of a run that has ended."""
    return lambda job: keep(job.planned.key, [job.path], records)


def listed(keys: Sequence[str], todo: Sequence[Job], at_once: int) -> list[str]:
    """Return a line for each part, with how many of its runs are done and the hours that it still takes, and
    one for all.
    """
    lines = []
    for key in (*keys, "all"):
        own = [job for job in todo if key in (job.planned.key, "all")]
        states = [job.state for job in own]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        hours = seconds_left(own, at_once) / 3600
        cores = "one after the other" if at_once == 1 else f"{at_once} at once"
        lines.append(f"{key}: {len(own)} runs ({counts or 'none'}), {hours:.1f} h left, {cores}")
    return lines


def detach(runs: Path) -> None:
    """Start this command again without --background, as a process that outlives the terminal."""
    log = runs / "publish.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [word for word in sys.argv[1:] if word != "--background"]
    with log.open("ab") as file:
        started = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.publish", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    typer.echo(f"process {started.pid} is at work; its lines: {log}")


if __name__ == "__main__":
    typer.run(main)
