"""The sweeper: a sweep gets its ledger, its jobs are checked before the first one starts, and launched."""

import itertools
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
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

from genbench.app.build import check_job, check_search
from genbench.app.command import as_text
from genbench.app.composing_memory import ComposedJobs
from genbench.app.find_run import check_folder, check_outside_runs, checking, note_new
from genbench.app.messages import explain_error, wrapped_error
from genbench.app.run_names import RUN_NAME, checked_path, folder_of, resolved, run_dir
from genbench.app.sweep_watch import plan_line, watching
from genbench.app.sweeps import LEDGER, ask_workers_to_stop, is_begun, ledger, statuses
from genbench.app.words import check_word, quoted
from genbench.errors import UsageError
from genbench.records.identity import hashed
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import Outcome
from genbench.runtime.garbage import few_collections
from genbench.runtime.progress import Progress, terminal

__all__ = ["Combinations", "KeepsLedger", "register_sweeper"]


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
        self.legal_words, self.writable = set[str](), set[Path]()  # as jobs before have shown

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to each sweeper, and make the launcher of the jobs."""
        assert isinstance(hydra_context.config_loader, ConfigLoaderImpl)
        self.loader, self.config = ComposedJobs(hydra_context.config_loader), config
        # Hydra resolved what it gave the constructor; read here, ${seed} is still text, for each job.
        self.params = dict((config.hydra.sweeper.get("params") or {}).items())
        self.is_here = str(config.hydra.launcher._target_).endswith(".BasicLauncher")
        if self.is_here:  # other launchers compose in other processes
            hydra_context = HydraContext(self.loader, hydra_context.callbacks)
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run the jobs of a command's overrides; raises UsageError where none of them can be composed."""
        words = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        jobs = self.accepted(combinations(OverridesParser.create(self.loader).parse_overrides(words)))
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        plan = folder / "multirun.yaml"
        is_new = not plan.exists()
        OmegaConf.save(self.config, plan)  # as Hydra's own sweeper does
        record = ledger()
        assert record is not None
        terminal().print(plan_line(len(jobs), folder), soft_wrap=True, highlight=False)
        try:
            with nullcontext() if self.is_here else watching(record, terminal()):
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
        reasons = []
        # The first job of each kind takes longer: it imports torch, and builds its objects.
        with few_collections(), Progress(terminal()).bar("checking", len(jobs), "jobs") as bar:
            for number, words in enumerate(jobs, 1):
                reasons.append((words, self.refusal(words)))
                bar.advance(number)
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
                if word not in self.legal_words:
                    check_word(word)
                    self.legal_words.add(word)
            cfg, without = self.loader.composed(self.config, words)
            # What an option of another model refers to is missed only when all is resolved, as here.
            tree = resolved(without)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            return explain_error(error, words)
        try:  # Hydra would make the directory, also within another run
            own = run_dir(cfg, hashed(tree)).name  # which must be legal
            written = OmegaConf.to_container(cfg.hydra.sweep)
            is_own = isinstance(written, dict) and written["subdir"] == RUN_NAME
            subdir = own if is_own else checked_path("hydra.sweep.subdir", cfg.hydra.sweep.subdir)
            path = folder_of(
                "the directory of the run", str(Path(cfg.hydra.sweep.dir) / subdir), self.writable
            )
            check_folder(path)
            check_outside_runs(path)
            note_new(path)
            if Run(path).finished_result() is not None:
                return None
        except OmegaConfBaseException:
            pass  # a directory that only the job itself can name
        except (OSError, ValueError) as error:
            return explain_error(error)
        return self.fault(cfg, tree, words)

    def fault(self, cfg: DictConfig, tree: dict[str, Any], words: list[str]) -> str | None:
        """Return the reason why the objects of a job cannot be built, else None; jobs that differ in their
        seed alone are built once. It is left to the job where another machine carries it out.
        tree: the configuration as plain data, without Hydra's part.
        """
        if not (self.is_here or "joblib" in str(self.config.hydra.launcher._target_)):
            return None
        any_seed = {"seed": 0} if isinstance(cfg.seed, int) and cfg.seed > 0 else {}
        key = hashed(tree | any_seed)
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
