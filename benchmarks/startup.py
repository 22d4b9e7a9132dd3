"""Time of commands to their answer, of a run to its first training step, and of what handles many runs.

`python -m benchmarks.startup`
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import typer

from benchmarks.commands import Cost, measure_command, measure_first_step, measure_planned_sweep
from benchmarks.console import Announcer, Only, Out, Rounds, Table, Threads, chosen, show
from benchmarks.copied_runs import SHORT, copied_runs

__all__ = ["NAMES", "main", "table"]

NOTES = (
    "Medians; the first turn, which fills the system's file cache, is left out.",
    "A skipped job: what each of 40 finished jobs adds to a sweep of 2, its check before the first job "
    "included. Jobs that are composed differ in seed, learning rate and noise schedule.",
)
FEW, MANY = 2, 42
"""Finished jobs of the two sweeps whose difference is what a skipped job takes."""
RUNS = 1000
RATES = (1e-3, 2e-3, 3e-3, 4e-3, 5e-3)
TARGETS = {
    "python main.py --help": 0.3,
    "genbench --help": 0.3,
    "python main.py --cfg job": 0.7,
    "python main.py, to the log of the first step": 4.0,
    "a skipped job of a sweep": 0.1,
    "composing 1,000 jobs of a sweep": 30.0,
    "genbench report of 1,000 runs": 2.0,
}
"""What is timed -> the seconds that it may take."""
NAMES = {name: name.replace(",", "").replace(" ", "-") for name in TARGETS}
"""What is timed -> its name on the command line."""


def main(rounds: Rounds = 5, threads: Threads = 1, only: Only = "", out: Out = None) -> None:
    """Start each command several times, and print medians."""
    wanted = chosen(only, [*NAMES.values()])
    names = [name for name, word in NAMES.items() if word in wanted]
    show([table(names, rounds=rounds, threads=threads)], out)


def table(names: list[str], *, rounds: int, threads: int, runs: int = RUNS) -> Table:
    """Seconds of each command, medians over rounds, beside its target. runs: of the reports and sweeps."""
    announcer, rows = Announcer(len(names)), []
    with tempfile.TemporaryDirectory() as folder:
        commands = measures(Path(folder), threads, runs)
        for name in names:
            announcer.begin(name)
            costs = [commands[name]() for _ in range(rounds + 1)][1:]
            rows.append(
                {
                    "command": name,
                    "wall, s": median(cost.wall for cost in costs),
                    "CPU, s": median(cost.cpu for cost in costs),
                    "target, s": TARGETS[name],
                }
            )
    return Table("Start-up", rows, NOTES)


def measures(folder: Path, threads: int, runs: int) -> dict[str, Callable[[], Cost]]:
    """What is timed -> the function that times it once. folder: an empty one, for runs that are reported."""
    jobs = [f"seed=range(0,{runs // 10})", f"optim.lr={','.join(map(str, RATES))}", "schedule=cosine,linear"]
    return {
        "python main.py --help": partial(measure_command, ["main.py", "--help"], threads=threads),
        "genbench --help": partial(measure_command, ["-m", "genbench", "--help"], threads=threads),
        "python main.py --cfg job": partial(measure_command, ["main.py", "--cfg", "job"], threads=threads),
        "python main.py, to the log of the first step": partial(measure_first_step, [], threads=threads),
        "a skipped job of a sweep": partial(skipped_job, folder / "skipped", threads),
        "composing 1,000 jobs of a sweep": partial(
            measure_planned_sweep, jobs, runs // 10 * 2 * len(RATES), threads=threads
        ),
        "genbench report of 1,000 runs": partial(report, folder / "reported", threads, runs),
    }


def skipped_job(folder: Path, threads: int) -> Cost:
    """Return what a finished job adds to a sweep."""
    if not folder.exists():
        copied_runs(folder, range(MANY), RATES[:1], threads=threads)
    words = [*SHORT, f"optim.lr={RATES[0]}", f"runs_dir={folder}", "tracker=jsonl"]
    few, many = (
        measure_command(["main.py", "-m", f"seed=range(0,{count})", *words], threads=threads)
        for count in (FEW, MANY)
    )
    return Cost(*((b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True)))


def report(folder: Path, threads: int, runs: int) -> Cost:
    """Return what a report of many runs takes."""
    if not folder.exists():
        copied_runs(folder, range(runs // len(RATES)), RATES, threads=threads)
    return measure_command(["-m", "genbench", "report", str(folder)], threads=threads)


if __name__ == "__main__":
    typer.run(main)
