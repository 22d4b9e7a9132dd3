"""All benchmarks one after the other, each in a process of its own, with its own defaults.

`python -m benchmarks.everything --out FOLDER`
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands import ROOT
from benchmarks.console import Announcer, Only, Threads, chosen

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS = (
    "training",
    "sampling",
    "overhead",
    "startup",
    "memory",
    "scaling",
    "machine",
    "fast",
    "evaluation",
)


def main(
    out: Annotated[Path, typer.Option(help="Output folder of the tables.")] = (
        ROOT / "runs" / "benchmarks" / "speed"
    ),
    threads: Threads = 1,
    only: Only = "",
) -> None:
    """Run each benchmark and write its table; failed ones are named at the end, with exit code 1."""
    names = chosen(only, BENCHMARKS)
    announcer, failed = Announcer(len(names)), []
    for name in names:
        announcer.begin(name)
        options = ["--threads", str(threads), "--out", str(out.resolve() / f"{name}.md")]
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(code=1)


if __name__ == "__main__":
    typer.run(main)
