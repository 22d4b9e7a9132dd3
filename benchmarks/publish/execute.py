"""The runs of the benchmark, one process each: found again by their identity, resumed, or begun."""

import math
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, NamedTuple

import typer
from hydra import compose

from benchmarks.publish.planned import Later, Planned
from benchmarks.publish.processes import allowed, is_stopping, process, stopping
from benchmarks.publish.records import CONDITIONS, is_disturbed, is_recorded, read_records
from genbench.app.composing_memory import same_choices
from genbench.app.in_process import composed
from genbench.app.run_names import identity, run_dir
from genbench.app.search_path import composing
from genbench.records.files import read_json, write_json_atomic
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import duration
from genbench.runtime.device import processor

__all__ = ["Job", "Limits", "State", "execute", "jobs_of", "seconds_left"]

State = Literal["missing", "unfinished", "failed", "disturbed", "unmeasured", "done"]


class Job(NamedTuple):
    """A planned run with the directory that its identity names.

    recorded: how it ended, by its record in the repository; None where it has none, or one without all that
    is measured later. retried: a run is executed again that failed by itself, as after a fault is mended, or
    that had too little of its core.
    """

    planned: Planned
    path: Path
    recorded: Literal["done", "failed", "disturbed"] | None = None
    retried: bool = False

    @property
    def state(self) -> State:
        """How far it is: its run missing, unfinished or failed; done with all that is measured later. Only
        where it is to be retried, one that had too little of its core is disturbed, and not done.
        """
        if self.recorded == "done" or (self.recorded is not None and not self.retried):
            return "failed" if self.recorded == "failed" else "done"
        status = Run(self.path).status
        if status is None:
            return "missing"
        if Run(self.path).is_failed_for_good and not self.retried:
            return "failed"
        if status != "done":
            return "unfinished"
        if self.retried and is_disturbed(read_json(self.path / CONDITIONS)):
            return "disturbed"
        return "unmeasured" if self.unmeasured else "done"

    @property
    def outcome(self) -> State:
        """How far it is after an attempt, by its directory alone."""
        return self._replace(recorded=None, retried=False).state

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


def jobs_of(plan: Sequence[Planned], runs: Path, records: Path, *, retried: bool = False) -> list[Job]:
    """Return the runs of a plan with their directories below a folder, which their configurations name, and
    how they ended where they are recorded: a run of the same identity counts wherever it was executed.
    retried: those are executed again that failed by themselves, or had too little of their core.

    Raises hydra's or omegaconf's error, or ValueError, on a run that cannot be composed.
    """
    known = {key: read_records(key, records) for key in {planned.key for planned in plan}}
    ends = {
        (key, record["about"].get("identity")): record for key, found in known.items() for record in found
    }
    jobs = []
    with composing(), same_choices():
        for planned in plan:
            words = [*planned.words, f"runs_dir={runs}"]
            cfg = compose("config", overrides=words, return_hydra_config=True)
            with composed(cfg):
                whole = identity(cfg)
                record = ends.get((planned.key, whole))
                recorded = is_recorded(record, planned, records)
                jobs.append(Job(planned, run_dir(cfg, whole), recorded, retried))
    return jobs


def seconds_left(jobs: Sequence[Job], at_once: int) -> float:
    """Return the seconds that the runs still take, roughly, so many at a time."""
    return sum(job.seconds for job in jobs) / at_once


class Limits(NamedTuple):
    """How runs are executed: so many at a time, none that would end more than so many seconds from now."""

    at_once: int = 1
    seconds: float = math.inf


def execute(
    jobs: Sequence[Job], runs: Path, limits: Limits, ended: Callable[[Job], object] = lambda job: None
) -> list[Job]:
    """Work on all runs that are not done, in their order, each with one thread on a core of its own, and
    return those that are not done at the end. A run that failed by itself is a result, and not repeated
    unless its job says so.

    A line is printed as each begins and ends, and `ended` is called with it, one at a time. Ctrl-C or SIGTERM
    stops the runs after their current step, a second one at once; the same command continues them.
    """
    todo = [job for job in jobs if job.state not in ("done", "failed")]
    session = Session(todo, runs, limits, ended)
    with stopping():
        if limits.at_once == 1:
            for job in todo:
                session.work(job)
        else:
            with ThreadPoolExecutor(limits.at_once) as pool:
                for future in [pool.submit(session.work, job) for job in todo]:
                    future.result()
    return [job for job in todo if job.outcome not in ("done", "failed")]


class Session:
    """The execution of some runs: a line for each as it begins and ends, with the time that is left of all.

    Its workers share the cores, one each.
    """

    def __init__(
        self, todo: Sequence[Job], runs: Path, limits: Limits, ended: Callable[[Job], object]
    ) -> None:
        self.runs, self.at_once, self.ended = runs, limits.at_once, ended
        self.log = runs / "publish.log"
        self.until = time.monotonic() + limits.seconds
        self.left = {job.path: job.seconds for job in todo}
        self.total, self.count, self.lock = len(todo), 0, threading.Lock()
        self.cores = SimpleQueue[int]()
        for place in range(limits.at_once):
            self.cores.put(allowed()[place % len(allowed())])

    def work(self, job: Job) -> None:
        """Train one run to its end, and measure what is measured later. Nothing is done once the process is
        asked to stop, or where the run would end after the limit.
        """
        begun = time.monotonic()
        if is_stopping() or begun + job.seconds > self.until:
            return
        core, code = self.cores.get(), 1
        try:
            with self.lock:
                eta = duration(sum(self.left.values()) / self.at_once)
                line = f"[{self.count}/{self.total}] {job.planned.key}: {job.path.name}, ETA {eta}"
                typer.echo(line, err=True)
            code = self.advance(job, core)
        finally:
            self.cores.put(core)
            with self.lock:
                self.left.pop(job.path, None)
                self.count += 1
                took = duration(time.monotonic() - begun)
                why = f", exit code {code}: {self.log} says why" if code and not is_stopping() else ""
                line = f"[{self.count}/{self.total}] {job.path.name}: {job.outcome} after {took}{why}"
                typer.echo(line, err=True)
                self.ended(job)

    def advance(self, job: Job, core: int) -> int:
        """Train and measure one run on a core, as far as it still has to be; returns the last exit code that
        was not 0, or 0.
        """
        code = 0
        if job.state == "disturbed":  # kept, and trained anew
            aside = job.path.with_name(f"disturbed-{job.path.name}-{time.time_ns()}")
            job.path.rename(aside)
        if job.state in ("missing", "unfinished"):
            ended = process(["main.py", *job.planned.words, f"runs_dir={self.runs}"], core, self.log)
            code = ended.code
            if job.path.is_dir():
                self.note(job.path / CONDITIONS, ended.core_share)
        for later in job.unmeasured if job.outcome == "unmeasured" else []:
            if not is_stopping():
                code = self.measure(job, later, core) or code
        return code

    def note(self, path: Path, core_share: float) -> None:
        """Write the conditions of a run: of one in several parts the smallest share of its core."""
        before = (read_json(path) or {}).get("core_share", 1.0)
        here = {"machine": processor(), "threads": 1, "runs_at_once": self.at_once}
        write_json_atomic(path, {**here, "core_share": min(before, core_share)})

    def measure(self, job: Job, later: Later, core: int) -> int:
        """Take one measurement of a finished run, and return its exit code. Its result is in its place once
        it is complete: a sweep that is stopped leaves a table of some rows.
        """
        to = job.path / later.name
        out = to.with_name(f"partial-{to.name}")
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir():
            shutil.rmtree(out)
        places = {"RUN": str(job.path), "OUT": str(out)}
        words = ["-m", *(places.get(word, word) for word in later.words)]
        code = process(words, core, self.log).code
        if code == 0:
            out.replace(to)
        return code
