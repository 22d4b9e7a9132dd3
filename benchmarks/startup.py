"""Time of commands to their answer, and of a run to its first training step.

`python -m benchmarks.startup`
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import typer

from benchmarks.commands import Cost, measure_command, measure_first_step
from benchmarks.console import Announcer, Out, Rounds, Table, Threads, show

__all__ = ["main", "table"]

NOTES = ("Medians; the first turn, which fills the system's file cache, is left out.",)


def main(rounds: Rounds = 5, threads: Threads = 1, out: Out = None) -> None:
    """Start each command several times, and print medians."""
    show([table(rounds=rounds, threads=threads)], out)


def table(*, rounds: int, threads: int) -> Table:
    """Seconds of each command, medians over rounds, beside its target."""
    commands: dict[str, tuple[float, Callable[[], Cost]]] = {
        "python main.py --help": (0.7, partial(measure_command, ["main.py", "--help"], threads=threads)),
        "genbench --help": (0.7, partial(measure_command, ["-m", "genbench", "--help"], threads=threads)),
        "python main.py, to the log of the first step": (
            6.0,
            partial(measure_first_step, [], threads=threads),
        ),
    }
    announcer, rows = Announcer(len(commands)), []
    for name, (target, command) in commands.items():
        announcer.begin(name)
        costs = [command() for _ in range(rounds + 1)][1:]
        rows.append(
            {
                "command": name,
                "wall, s": median(cost.wall for cost in costs),
                "CPU, s": median(cost.cpu for cost in costs),
                "target, s": target,
            }
        )
    return Table("Start-up", rows, NOTES)


if __name__ == "__main__":
    typer.run(main)
