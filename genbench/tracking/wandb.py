"""Weights & Biases as a mirror of the log; the only importer of wandb."""

import os
import shlex
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from genbench.records.summary import on_the_way
from genbench.runtime.printable import complain
from genbench.tracking.background import Background
from genbench.tracking.tracker import Tracker

if TYPE_CHECKING:
    import subprocess

    import wandb

__all__ = [
    "Mode",
    "RunLabels",
    "Wandb",
    "WandbStartError",
    "at_the_server",
    "default_entity",
    "resolve",
    "upload_command",
]

Mode = Literal["auto", "online", "offline"]

# Bounds in seconds and attempts: without them an unreachable server holds up the run for minutes.
BOUNDS: dict[str, Any] = {
    "init_timeout": 6,
    "finish_timeout": 7,  # what is not sent by then stays on the disk, for `wandb sync`
    "finish_timeout_raises": True,
    "x_graphql_retry_max": 1,
    "x_graphql_timeout_seconds": 3,
    "x_graphql_retry_wait_max_seconds": 1,
}
END_SECONDS = 9
"""Seconds for all that wandb still has to do when a run ends; its process is killed after that."""
KILL_SECONDS = 1
API_SECONDS = 5
# The run's own record has the git commit and the versions; the terminal belongs to the progress bars.
QUIET: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "x_disable_meta": True,
    "x_save_requirements": False,
}

TABLE = "result_table"
SHOWN = ("family", "data", "fid", "is", "kid", "bits_per_dim", "bound", "images_seen", "training_seconds")
"""The table of a run's result: its last samples, and what stands beside them."""


class WandbStartError(RuntimeError):
    """wandb is not installed, or does not start even offline; the message says why in one line."""


class RunLabels(NamedTuple):
    """Labels by which wandb groups, sorts and finds a run: its project, its group there, its own name, the
    data as its job type, and tags such as the family.
    """

    project: str
    group: str
    name: str
    job_type: str
    tags: tuple[str, ...] = ()


class Wandb(Tracker):
    """One wandb run with its files below `run_dir`; offline where there is no key or no server.

    mode "auto" is online where a key is configured and WANDB_MODE does not say otherwise. wandb never asks
    for anything. `run_id` continues an earlier run online; offline it starts a new one of the same id.
    All that is logged goes through a background thread: a wandb that hangs never holds up the training, and
    the end of the run for 10 s at most. Where wandb's process is lost, one warning says so, and nothing more
    is mirrored.

    Raises WandbStartError where wandb is not installed or does not start even offline.
    """

    def __init__(
        self,
        run_dir: Path,
        labels: RunLabels,
        *,
        config: Mapping[str, Any],
        mode: Mode = "auto",
        run_id: str | None = None,
    ) -> None:
        arguments = labels._asdict() | {
            "dir": str(run_dir),
            "tags": list(labels.tags),
            "id": run_id or uuid.uuid4().hex[:8],
        }
        try:
            Path(run_dir).mkdir(parents=True, exist_ok=True)
            self.run = start({**arguments, "config": dict(config)}, mode)
        # Whatever is raised here (ImportError, wandb's errors, pydantic's), the caller decides one thing.
        except Exception as error:
            raise WandbStartError(f"wandb did not start: {one_line(error)}") from error
        self.id: str = self.run.id  # an agent of a sweep gives its own
        self.folder = Path(run_dir) / "wandb"
        self.samples: Path | None = None
        self.finished, self.process = False, service_process()
        self.unsent = Path(self.run.dir).parent
        self.background = Background(self.lose, tear_down)
        self.background.call(lambda: self.run.define_metric("*", step_metric="images_seen"))

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        shown = {"images_seen": images_seen, **values, **on_the_way(values)}
        self.background.call(lambda: self.run.log(shown))

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        import wandb

        self.background.call(lambda: self.run.log({"images_seen": images_seen, name: wandb.Image(str(path))}))
        if name == "samples":
            self.samples = path  # the last are those of the result

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        self.background.call(lambda: self.summarise(values))

    def summarise(self, values: Mapping[str, float | str | None]) -> None:
        """Log the result for panels and for tables: short keys as values, all of it as the summary."""
        # wandb makes panels of what is logged, not of summaries: short keys, which runs share, are both.
        short = {k: v for k, v in values.items() if isinstance(v, int | float) and "[" not in k}
        with staged(self.folder):
            self.run.log(short | self.table(values))
        self.run.summary.update(dict(values))
        if protocol := values.get("protocol"):
            self.run.tags = (*(self.run.tags or ()), str(protocol))

    def table(self, values: Mapping[str, float | str | None]) -> dict[str, Any]:
        """Make the row of the table of results; panels of several runs join these tables."""
        import wandb

        if self.samples is None:
            return {}
        row = [*(values.get(key) for key in SHOWN), wandb.Image(str(self.samples))]
        return {TABLE: wandb.Table(columns=[*SHOWN, "samples"], data=[row])}

    def state(self) -> dict[str, Any]:
        return {"wandb_id": self.id}

    def finish(self, status: str) -> None:
        if self.finished:
            return
        self.finished = True
        self.background.call(lambda: self.run.finish(exit_code=0 if status == "done" else 1))
        if not self.background.close(END_SECONDS):
            self.background.fail(TimeoutError(f"no answer of its process in {END_SECONDS} s"))
            with quiet_threads():
                if self.process is not None:
                    self.process.kill()  # which ends what the thread waits for, and would hold up the exit
                self.background.close(KILL_SECONDS)

    def lose(self, error: BaseException) -> None:
        """Warn that wandb has not received everything, with the command that uploads the rest.

        A mirror that breaks must not end the run.
        """
        later = shlex.join(["wandb", "sync", str(self.unsent)])
        complain(
            f"the connection to wandb was lost ({one_line(error)}); metrics.jsonl is complete. To upload "
            f"what is on the disk: {later}"
        )


def service_process() -> "subprocess.Popen[bytes] | None":
    """Return wandb's own process, where this process started it; wandb has no public access to it."""
    import wandb

    try:
        connection = wandb.setup()._connection
        service = None if connection is None else connection._proc
        return None if service is None else service._process
    except AttributeError:  # an agent's, or of a later wandb with other names: then it cannot be killed
        return None


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Let threads of wandb that lose their process end without printing a traceback each."""
    before = threading.excepthook
    threading.excepthook = lambda given: None
    try:
        yield
    finally:
        threading.excepthook = before


def tear_down() -> None:
    """End wandb's process, which at exit would be waited for without a bound, and forget the run.

    wandb keeps the last hundred artifacts, each with its run and a temporary folder.
    """
    import wandb

    with suppress(ImportError, AttributeError):  # a later wandb may keep them elsewhere
        from wandb.sdk.artifacts import artifact_instance_cache as cache

        cache.artifact_instance_cache_by_client_id.clear()
    wandb.teardown()


@contextmanager
def staged(folder: Path) -> Iterator[None]:
    """Have wandb store files of tables in `folder` until their upload, not in the user's home."""
    chosen = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = chosen or str(folder.resolve())
    try:
        yield
    finally:
        if chosen is None:
            del os.environ["WANDB_DATA_DIR"]


def upload_command(run_dirs: Iterable[Path]) -> str | None:
    """Return the shell command that uploads the offline files of wandb in these run directories.

    None where there are none. Where they are those of all runs in a folder, a pattern with the shell's *
    names them.
    """
    folders: dict[Path, list[Path]] = {}
    for run in dict.fromkeys(map(Path, run_dirs)):
        unsent = [folder for folder in offline([run]) if not any(folder.glob("*.wandb.synced"))]
        folders.setdefault(run.parent, []).extend(unsent)
    words = [word for parent, unsent in folders.items() for word in named(parent, unsent)]
    return " ".join(["wandb sync", *words]) if words else None


def offline(run_dirs: Iterable[Path]) -> list[Path]:
    """Return the folders that wandb wrote offline in these run directories."""
    return [folder for run in run_dirs for folder in sorted((run / "wandb").glob("offline-run-*"))]


def named(parent: Path, folders: Sequence[Path]) -> list[str]:
    """Write folders of runs below `parent` for a shell: one pattern where it matches exactly these."""
    seen = offline(run for run in parent.iterdir() if not run.name.startswith(".")) if folders else []
    if len(folders) > 1 and sorted(seen) == sorted(folders):
        return [f"{shlex.quote(str(parent))}/*/wandb/offline-run-*"]
    return [shlex.quote(str(folder)) for folder in folders]


@contextmanager
def at_the_server() -> Iterator[None]:
    """A `with` block for work that needs wandb's server.

    Raises ValueError, with the remedy, where nobody is logged in or wandb raises one of its errors.
    """
    import wandb

    if resolve() != "online":
        raise ValueError(
            "wandb is not logged in, or WANDB_MODE keeps it offline: run `wandb login`, or add --dry-run"
        )
    try:
        yield
    except wandb.errors.Error as error:
        raise ValueError(f"wandb: {one_line(error)}") from error


def default_entity() -> str:
    """Ask the server for the account or team that runs go to by default. Call it inside `at_the_server`."""
    import wandb

    return str(wandb.Api(timeout=API_SECONDS).default_entity)


def start(arguments: dict[str, Any], mode: Mode) -> "wandb.Run":
    """Start a run online if that is allowed and possible, else offline; takes seconds either way."""
    # wandb's own error reports wait 12 s more, at start and exit, for a server that does not answer.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    chosen = resolve() if mode == "auto" else mode
    if chosen == "online":
        try:
            return init(arguments | {"resume": "allow"}, "online")
        except wandb.errors.Error as error:
            complain(f"wandb runs offline: {one_line(error)}")
            with suppress(SystemExit):  # of a process of wandb's that failed
                tear_down()  # the failed start still holds the run's id
            chosen = "offline"
    return init(arguments, chosen)


def resolve() -> str:
    """Resolve the mode "auto": WANDB_MODE and `wandb offline` come first, then whether there is a key."""
    import wandb

    configured = wandb.setup(wandb.Settings(silent=True)).settings.mode
    if configured not in ("online", "run"):
        return configured
    try:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    except wandb.errors.AuthenticationError as error:
        complain(f"wandb runs offline: {one_line(error)}")
        return "offline"


def init(arguments: dict[str, Any], mode: str) -> "wandb.Run":
    """Call wandb.init with a limit on every wait, a quiet console, and no earlier run left open."""
    import wandb

    settings = wandb.Settings(**BOUNDS, **QUIET)
    # It also takes the earlier names of modes, which its annotation lacks.
    run = wandb.init(**arguments, mode=mode, settings=settings, reinit="finish_previous")  # type: ignore[arg-type]
    with suppress(ImportError, AttributeError):  # a later wandb may have them elsewhere
        from wandb.sdk.lib import import_hooks

        # They send a message from inside `import sklearn`, in the thread of the training, and fail with it.
        import_hooks.unregister_all_post_import_hooks()
    return run


def one_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
