"""A sweep: its jobs, the ledger that they write to, the request to stop, and the table at the end."""

import itertools
import os
import shlex
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from genbench.app.build import check_job, check_search
from genbench.app.command import as_text
from genbench.app.find_run import check_folder, check_outside_runs, checking, note_new
from genbench.app.messages import explain_error, wrapped_error
from genbench.app.run_names import checked_path, folder_of, identity, resolved, run_dir, without_hydra
from genbench.app.sweep_watch import plan_line, watching
from genbench.app.words import check_word, quoted
from genbench.errors import UsageError
from genbench.records.identity import hashed
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import Ledger, Outcome, Status, outcome_table
from genbench.runtime.progress import Progress, terminal
from genbench.runtime.stop import StopRequest, ignoring_hangup, say_stopping, stop_signals

__all__ = [
    "Combinations",
    "KeepsLedger",
    "forget_unless_begun",
    "ledger",
    "outcomes_so_far",
    "print_summary",
    "print_upload_command",
    "stop_of_sweep",
]

LEDGER = "GENBENCH_SWEEP"  # its path, in the environment of every job, wherever a launcher starts it


class KeepsLedger(Callback):
    """Hooks of Hydra by which a sweep gets its ledger and its sweeper before the first job starts.
    conf/config.yaml names this class. The hooks run in the process that starts the jobs.
    """

    # Hydra passes the configuration's name alone, and declares any keywords.
    def on_multirun_start(self, config: DictConfig, config_name: str | None = None) -> None:  # type: ignore[override]
        """Name the ledger to all jobs, and put `Combinations` in the place of Hydra's own sweeper."""
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = Path(config.runs_dir).resolve() / ".sweeps" / f"{moment}-{os.getpid()}.jsonl"
        os.environ[LEDGER] = str(path)
        # The workers of a cluster that runs already do not inherit this process's environment.
        config.hydra.overrides.hydra.append(f"++hydra.job.env_set.{LEDGER}={quoted(str(path))}")
        if (sweeper := config.hydra.sweeper)._target_.endswith(".BasicSweeper"):  # Hydra's
            sweeper._target_ = register_sweeper()
        else:
            with checking(config):
                check_search(config)
        if "joblib" in config.hydra.launcher._target_:
            ask_workers_to_stop()

    def on_job_end(self, config: DictConfig, job_return: JobReturn) -> None:  # type: ignore[override]
        """Forget a job's configuration: Hydra keeps those of all jobs until a sweep ends, 0.3 MB each."""
        job_return.cfg = job_return.hydra_cfg = None


def register_sweeper() -> str:
    """Register `Combinations` with Hydra, and return the name by which a configuration asks for it.

    Hydra 1.3 instantiates only plugins whose name begins with `hydra_plugins.`, but looks them up by that
    name and imports none (`_instantiate` in hydra/core/plugins.py). So no such package is needed, while the
    class keeps its real module, by which it can be pickled. Only the process that starts the jobs needs it.
    """
    name = f"hydra_plugins.genbench.{Combinations.__name__}"
    plugins = Plugins.instance()
    plugins.register(Combinations)
    plugins.class_name_to_class[name] = Combinations
    return name


class Combinations(Sweeper):
    """Sweeper that runs all combinations of values, and refuses alone what cannot be composed or written.
    Hydra's own sweeper ends the whole sweep at the first such job. max_batch_size: jobs that a launcher gets
    at once, None for all; params: overrides of every job.
    """

    config: DictConfig
    launcher: Launcher

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, str] | None = None) -> None:
        self.max_batch_size = max_batch_size
        self.params = params or {}
        self.faults: dict[str, str | None] = {}  # by the configuration without its seed

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to each sweeper, and make the launcher of the jobs."""
        self.config_loader, self.config = hydra_context.config_loader, config
        # Hydra resolved what it gave the constructor; read here, ${seed} is still text, for each job.
        self.params = dict((config.hydra.sweeper.get("params") or {}).items())
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run the jobs of a command's overrides; raises UsageError where none of them can be composed."""
        words = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        jobs = self.accepted(combinations(OverridesParser.create(self.config_loader).parse_overrides(words)))
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        plan = folder / "multirun.yaml"
        is_new = not plan.exists()
        OmegaConf.save(self.config, plan)  # as Hydra's own sweeper does
        record = ledger()
        assert record is not None
        one_by_one = str(self.config.hydra.launcher._target_).endswith(".BasicLauncher")
        terminal().print(plan_line(len(jobs), folder), soft_wrap=True, highlight=False)
        try:
            with nullcontext() if one_by_one else watching(record, terminal()):
                return self.launched(jobs, self.max_batch_size or len(jobs))
        finally:
            if is_new and not is_begun(statuses()):
                plan.unlink(missing_ok=True)

    def launched(self, jobs: Sequence[list[str]], size: int) -> list[JobReturn]:
        """Hand the jobs to the launcher, so many at a time, and return what each returned; raises what ended
        a job that did not end by itself.
        """
        done = list[JobReturn]()
        for start in range(0, len(jobs), size):
            batch = self.launcher.launch(jobs[start : start + size], initial_job_idx=start)
            for job in batch:
                _ = job.return_value
            done += batch
        return done

    def accepted(self, jobs: Sequence[list[str]]) -> list[list[str]]:
        """Return the jobs that can be composed and written; enter all in the ledger, and print the others.
        Raises UsageError, with the reason of the first, where all are refused.
        """
        with Progress(terminal()).waiting("checking the jobs"):  # which imports torch and reads data
            reasons = [(words, self.refusal(words)) for words in jobs]
        good = [words for words, reason in reasons if reason is None]
        bad = [(words, reason) for words, reason in reasons if reason is not None]
        if not good:
            several = f"all {len(bad)} jobs are refused, the first since " if len(bad) > 1 else ""
            raise UsageError(several + bad[0][1])
        record, console = ledger(), terminal()
        assert record is not None
        for number, words in enumerate(good):
            record.add(Outcome(number, "not started", tuple(words), "", 0.0, ""))
        for number, (words, reason) in enumerate(bad, len(good)):
            record.add(Outcome(number, "refused", tuple(words), "", 0.0, reason))
            line = f"job {number + 1} refused ({' '.join(words)}): {reason}"
            console.print(line, soft_wrap=True, highlight=False)
        return good

    def refusal(self, words: list[str]) -> str | None:
        """Return the reason why a job cannot be composed, or written into its directory; else None."""
        try:
            for word in words:
                check_word(word)
            cfg = self.config_loader.load_sweep_config(self.config, words)
            # What an option of another model refers to is missed only when all is resolved, as here.
            identity(cfg)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            return explain_error(error, words)
        try:  # Hydra would make the directory, also within another run
            run_dir(cfg)  # whose name must be legal
            subdir = checked_path("hydra.sweep.subdir", cfg.hydra.sweep.subdir)
            path = folder_of("the directory of the run", str(Path(cfg.hydra.sweep.dir) / subdir))
            check_folder(path)
            check_outside_runs(path)
            note_new(path)
            if Run(path).finished_result() is not None:
                return None
        except OmegaConfBaseException:
            pass  # a directory that only the job itself can name
        except (OSError, ValueError) as error:
            return explain_error(error)
        return self.fault(cfg, words)

    def fault(self, cfg: DictConfig, words: list[str]) -> str | None:
        """Return the reason why the objects of a job cannot be built, else None; jobs that differ in their
        seed alone are built once. It is left to the job where another machine carries it out.
        """
        launcher = str(self.config.hydra.launcher._target_)
        if not (launcher.endswith(".BasicLauncher") or "joblib" in launcher):
            return None
        any_seed = {"seed": 0} if isinstance(cfg.seed, int) and cfg.seed > 0 else {}
        key = hashed(resolved(without_hydra(cfg)) | any_seed)
        if key not in self.faults:
            try:
                check_job(cfg)
                self.faults[key] = None
            except UsageError as error:
                cause = error.__cause__ or error
                # A run that this job takes a part from may be an earlier job's, which is not there yet.
                waits = isinstance(wrapped_error(cause) or cause, FileNotFoundError)
                waits = waits and any(word.partition("=")[0].endswith("run_dir") for word in words)
                self.faults[key] = None if waits else explain_error(cause, words)
        return self.faults[key]


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of each job: the product of all values; of two with one key the last counts.
    Raises UsageError on a key that is given no values, or a range of numbers without a list of them.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        values[key] = [str(override.input_line)]
        if override.is_sweep_override():
            if override.value_type == ValueType.INTERVAL_SWEEP:
                raise UsageError(f"{override.input_line} is for a search: list values, as in {key}=1,2")
            values[key] = [as_text(f"{key}={value}") for value in override.sweep_string_iterator()]
            if not values[key]:
                raise UsageError(f"{override.input_line} gives no values: list them, as in {key}=a,b")
    return [list(job) for job in itertools.product(*values.values())]


def ledger() -> Ledger | None:
    """Return the ledger of the sweep that this process belongs to, None outside of a sweep."""
    path = os.environ.get(LEDGER)
    return None if path is None else Ledger(Path(path))


def stop_of_sweep() -> StopRequest:
    """Return the request to stop that all jobs of a sweep share; outside of a sweep, this process's own.
    In a sweep, a file beside the ledger carries the request from one process to the others.
    """
    record = ledger()
    return StopRequest(None if record is None else record.path.with_suffix(".stop"))


def ask_workers_to_stop() -> None:
    """Pass the first SIGINT, SIGTERM or SIGHUP on to this sweep's worker processes, which then save and end.
    joblib by itself kills them at once, as it does at a second signal.
    """
    from joblib.externals.loky.backend.resource_tracker import ensure_running

    with ignoring_hangup():
        ensure_running()  # this helper of joblib's would be killed by it, and complain once it is there again

    def ask(number: int, frame: FrameType | None) -> None:
        if (sign := stop_of_sweep().sign) is not None:
            sign.parent.mkdir(parents=True, exist_ok=True)
            sign.touch()
        if say_stopping(number):
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, signal.default_int_handler)

    for number in stop_signals():
        signal.signal(number, ask)


def print_summary(console: Console) -> set[Status]:
    """Print how the jobs of this command ended, if it was a sweep, and compare its finished runs.
    Returns the statuses of all jobs, from which the exit code follows; none outside of a sweep.
    """
    if not (outcomes := outcomes_so_far()):
        return set()
    console.print(outcome_table(outcomes))
    made = [Path(outcome.run) for outcome in outcomes if outcome.run]
    finished = [Path(one.run) for one in outcomes if one.status in ("done", "skipped")]
    failed = [Path(one.run) for one in outcomes if one.status in ("failed", "unmended")]
    if not print_comparison_of(finished, failed, made, console):
        print_upload_command(made, console)
    if busy := sum(one.status == "busy" for one in outcomes):
        console.print(
            f"Another process is at work on {busy} of these jobs, which the comparison lacks: the same "
            "command shows it when they are finished.",
            soft_wrap=True,
        )
    return {outcome.status for outcome in outcomes}


def forget_unless_begun(ends: set[Status]) -> None:
    """Remove the ledger of a sweep none of whose jobs began, since all were refused.
    ends: the statuses of its jobs, none outside of a sweep.
    """
    if (record := ledger()) is not None and not is_begun(ends):
        with suppress(OSError):
            record.path.unlink(missing_ok=True)


def is_begun(ends: set[Status]) -> bool:
    """Return True where a job of a sweep did some work, False where all were refused."""
    return not ends <= {"refused", "not started"}


def statuses() -> set[Status]:
    """Return the statuses of the jobs of the sweep that this process belongs to, so far."""
    return {outcome.status for outcome in outcomes_so_far()}


def outcomes_so_far() -> Sequence[Outcome]:
    """Return the outcomes of the jobs of the sweep that this process belongs to; none outside of a sweep."""
    return record.outcomes() if (record := ledger()) is not None else ()


def print_comparison_of(
    run_dirs: Sequence[Path], failed: Sequence[Path], made: Iterable[Path], console: Console
) -> bool:
    """Print the table of two or more finished runs, beside those that failed, what uploads all that were
    made, and the command that shows the table again; returns False where there is no table.
    """
    if len(run_dirs) < 2:
        return False
    from genbench.report.compare import compare_runs
    from genbench.report.formats.markdown import markdown
    from genbench.report.formats.terminal import print_comparison
    from genbench.report.sweep import selection

    try:
        found = compare_runs(run_dirs, failed)
    except (OSError, ValueError) as error:  # a run that was moved away meanwhile is no failed sweep
        console.print(f"no table: {error}", soft_wrap=True, highlight=False)
        return False
    if console.is_terminal:
        print_comparison(found, console)
    else:
        console.print(markdown(found), soft_wrap=True, highlight=False)
    print_upload_command(made, console)
    place = Path(os.path.relpath(os.path.commonpath([path.parent for path in run_dirs])))
    only = [] if (record := ledger()) is None else selection(place, record.path)
    command = shlex.join(["genbench", "report", str(place), *only])
    console.print(f"Show this table again: {command}", soft_wrap=True, highlight=False)
    return True


def print_upload_command(run_dirs: Iterable[Path], console: Console) -> None:
    """Print the one command that uploads what wandb left offline of some runs, if it left anything.
    run_dirs: the directories of the runs; those without such files, or that do not exist, are passed over.
    """
    from genbench.tracking.wandb_upload import upload_command

    if (command := upload_command(run_dirs)) is not None:
        console.print(f"To upload: {command}", soft_wrap=True, highlight=False)
