"""The runs of the benchmark, one process each: found again by their identity, resumed, or begun."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, NamedTuple

import typer
from hydra import compose

from benchmarks.commands import ROOT
from benchmarks.publish.planned import Later, Planned
from genbench.app.composing_memory import same_choices
from genbench.app.in_process import composed
from genbench.app.run_names import run_dir
from genbench.app.search_path import composing
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import duration

__all__ = ["Job", "State", "execute", "jobs_of", "seconds_left"]

State = Literal["missing", "unfinished", "failed", "unmeasured", "done"]
SMOOTH = {"MALLOC_TRIM_THRESHOLD_": "2000000000", "MALLOC_MMAP_THRESHOLD_": "2000000000"}
"""Variables by which glibc keeps memory that is freed, which is requested again a moment later."""


class Job(NamedTuple):
    """A planned run with the directory that its identity names."""

    planned: Planned
    path: Path

    @property
    def state(self) -> State:
        """How far it is: its run missing, unfinished or failed; done with all that is measured later."""
        status = Run(self.path).status
        if status is None:
            return "missing"
        if Run(self.path).is_failed_for_good:
            return "failed"
        if status != "done":
            return "unfinished"
        return "unmeasured" if self.unmeasured else "done"

    @property
    def unmeasured(self) -> list[Later]:
        """What is still to be measured of the finished run."""
        return [later for later in self.planned.later if not (self.path / later.name).exists()]

    @property
    def seconds(self) -> float:
        """Seconds that are left of it, roughly; an unfinished run counts as a whole one."""
        if self.state in ("done", "failed"):
            return 0.0
        training = 0.0 if self.state == "unmeasured" else self.planned.seconds
        return training + sum(later.seconds for later in self.unmeasured)


def jobs_of(plan: Sequence[Planned], runs: Path) -> list[Job]:
    """Return the runs of a plan with their directories below a folder, which their configurations name.

    Raises hydra's or omegaconf's error, or ValueError, on a run that cannot be composed.
    """
    found = []
    with composing(), same_choices():
        for planned in plan:
            words = [*planned.words, f"runs_dir={runs}"]
            cfg = compose("config", overrides=words, return_hydra_config=True)
            with composed(cfg):
                found.append(Job(planned, run_dir(cfg)))
    return found


def seconds_left(jobs: Sequence[Job], at_once: int) -> float:
    """Return the seconds that the runs still take, roughly, so many at a time."""
    return sum(job.seconds for job in jobs) / at_once


def execute(jobs: Sequence[Job], runs: Path, at_once: int) -> list[Job]:
    """Work on all runs that are not done, so many at a time, each with one thread on a core of its own, and
    return those that are not done at the end. A run that failed by itself is a result, and not repeated.

    A line is printed as each begins and ends. Ctrl-C stops the runs after their current step; the same
    command continues them.
    """
    todo = [job for job in jobs if job.state not in ("done", "failed")]
    cores = SimpleQueue[int]()
    for place in range(at_once):
        cores.put(allowed()[place % len(allowed())])
    announcer = Announcements(todo, at_once)
    if at_once == 1:
        for job in todo:
            work(job, runs, cores, announcer)
    with ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(work, job, runs, cores, announcer) for job in todo if at_once > 1]:
            future.result()
    return [job for job in todo if job.state not in ("done", "failed")]


def allowed() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


class Announcements:
    """A line for each run as it begins and ends, with the time that is left of all."""

    def __init__(self, todo: Sequence[Job], at_once: int) -> None:
        self.left, self.at_once = {id(job): job.seconds for job in todo}, at_once
        self.total, self.ended, self.lock = len(todo), 0, threading.Lock()

    def begin(self, job: Job) -> None:
        """Print that a run begins."""
        with self.lock:
            eta = duration(sum(self.left.values()) / self.at_once)
            typer.echo(f"[{self.ended}/{self.total}] {job.planned.key}: {job.path.name}, ETA {eta}", err=True)

    def end(self, job: Job, seconds: float) -> None:
        """Print how a run ended, and after which time."""
        with self.lock:
            self.left.pop(id(job))
            self.ended += 1
            line = f"[{self.ended}/{self.total}] {job.path.name}: {job.state} after {duration(seconds)}"
            typer.echo(line, err=True)


def work(job: Job, runs: Path, cores: SimpleQueue[int], announcer: Announcements) -> None:
    """Train one run to its end, and measure what is measured later."""
    core, begun = cores.get(), time.monotonic()
    try:
        announcer.begin(job)
        log = runs / "publish.log"
        if job.state in ("missing", "unfinished"):
            process(["main.py", *job.planned.words, f"runs_dir={runs}"], core, log)
        if job.state == "unmeasured":
            for later in job.unmeasured:
                places = {"RUN": str(job.path), "OUT": str(job.path / later.name)}
                (job.path / later.name).parent.mkdir(parents=True, exist_ok=True)
                process(["-m", *(places.get(word, word) for word in later.words)], core, log)
    finally:
        cores.put(core)
        announcer.end(job, time.monotonic() - begun)


def process(words: Sequence[str], core: int, log: Path) -> int:
    """Run `python WORDS` on one core with one thread, its output at the end of a file; returns its code."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        started = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=environment(), stdout=file, stderr=subprocess.STDOUT
        )
        os.sched_setaffinity(started.pid, {core})
        return started.wait()


def environment() -> Mapping[str, str]:
    """Return the environment of a run: one thread, and memory that is kept."""
    return os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **SMOOTH}
