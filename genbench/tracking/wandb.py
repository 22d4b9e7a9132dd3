"""Weights & Biases as a mirror of the log; the only importer of wandb."""

import io
import os
import shlex
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from genbench.records.summary import TRAINING, VALIDATION
from genbench.runtime.printable import complain
from genbench.tracking.mirror import FILES_SECONDS, Mirror, MirrorRecipe, Mode, Opening, Picture, one_line
from genbench.tracking.moving_picture import gif_of, is_moving

if TYPE_CHECKING:
    import subprocess

    import wandb

__all__ = [
    "Wandb",
    "WandbRecipe",
    "at_the_server",
    "default_entity",
    "resolve",
]

# Bounds in seconds and attempts: without them an unreachable server holds up the run for minutes.
BOUNDS: dict[str, Any] = {
    "init_timeout": 6,
    "finish_timeout": 7,  # what is not sent by then stays on the disk, for `wandb sync`
    "finish_timeout_raises": True,
    "x_graphql_retry_max": 1,
    "x_graphql_timeout_seconds": 3,
    "x_graphql_retry_wait_max_seconds": 1,
}
KILL_SECONDS = 1
STDERR = 2  # its file descriptor
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


EVALUATIONS = ("fid", "is")
DIAGNOSTICS = ("lr", "grad_norm", "_logits", "_accuracy")
"""Scores of quick evaluations that are charted, and ends of names of training that are not."""


class Wandb(Mirror):
    """One wandb run with its files below `run_dir`; offline where there is no key or no server.

    opening.mode "auto" is online where a key is configured and WANDB_MODE does not say otherwise. wandb never
    asks for anything. A resumed run goes on under its id online; offline it starts a new one of the same id.
    Where wandb's process hangs at the end, it is killed after 10 s, with artifacts after ten minutes.

    Raises whatever wandb raises where it is not installed or does not start even offline.
    """

    title = "wandb"

    def __init__(self, opening: Opening) -> None:
        run_dir, labels = opening.run_dir, opening.labels
        run_dir.mkdir(parents=True, exist_ok=True)
        arguments = labels._asdict() | {
            "dir": str(run_dir),
            "tags": list(labels.tags),
            "id": opening.state.get(WandbRecipe.key) or uuid.uuid4().hex[:8],
            "config": dict(opening.config),
        }
        bounds = BOUNDS | ({"finish_timeout": FILES_SECONDS - 2} if opening.artifacts else {})
        self.run = start(arguments, opening.mode, bounds)
        self.id: str = self.run.id  # an agent of a sweep gives its own
        self.folder = run_dir / "wandb"
        self.samples: Picture | None = None
        self.process = service_process()
        self.unsent = Path(self.run.dir).parent
        self.defined: set[str] = set()
        super().__init__(opening)
        self.background.call(lambda: self.run.define_metric("*", step_metric="images_seen"))

    def send_values(self, values: Mapping[str, float], images_seen: int) -> None:
        for name in {"images_seen", *values} - self.defined:
            self.define(name)
        self.run.log({"images_seen": images_seen, **values})

    def define(self, name: str) -> None:
        """Let wandb draw a chart of a value by itself, or hide it, where it can still be added to a panel."""
        self.defined.add(name)
        if not is_charted(name):
            axis = None if name == "images_seen" else "images_seen"
            self.run.define_metric(name, step_metric=axis, hidden=True)

    def send_picture(self, picture: Picture, images_seen: int) -> None:
        self.run.log({"images_seen": images_seen, picture.name: image_of(picture)})
        if picture.name == "samples":
            self.samples = picture  # the last are those of the result

    def send_summary(self, values: Mapping[str, float | str | None], images_seen: int) -> None:
        # wandb makes a chart of all that is logged, here of a single point: results are of the summary alone.
        if row := self.table(values):
            with staged(self.folder):
                self.run.log(row)
        self.run.summary.update(dict(values))
        if protocol := values.get("protocol"):
            self.run.tags = (*(self.run.tags or ()), str(protocol))

    def table(self, values: Mapping[str, float | str | None]) -> dict[str, Any]:
        """Make the row of the table of results; panels of several runs join these tables."""
        import wandb

        if self.samples is None:
            return {}
        row = [*(values.get(key) for key in SHOWN), image_of(self.samples)]
        return {TABLE: wandb.Table(columns=[*SHOWN, "samples"], data=[row])}

    def send_files(self, files: Mapping[str, Path]) -> None:
        import wandb

        for role, path in files.items():
            artifact = wandb.Artifact(f"{self.opening.labels.name}-{role}", type=role)
            with staged(self.folder):
                artifact.add_file(str(path), skip_cache=True)
                self.run.log_artifact(artifact)

    def state(self) -> dict[str, Any]:
        return {WandbRecipe.key: self.id}

    def end(self, *, is_done: bool) -> None:
        self.run.finish(exit_code=0 if is_done else 1)

    def kill(self) -> None:
        """Kill wandb's process, which the thread waits for, and which would hold up the exit."""
        with quiet_threads():
            if self.process is not None:
                self.process.kill()
            self.background.close(KILL_SECONDS)

    def tear_down(self) -> None:
        tear_down()

    def remedy(self) -> str:
        later = shlex.join(["wandb", "sync", str(self.unsent)])
        return f". To upload what is on the disk: {later}"


@dataclass(frozen=True)
class WandbRecipe(MirrorRecipe):
    """Opens a run of wandb, for `tracker=wandb`, and as far as it is possible for `tracker=auto`.

    required: raise MirrorStartError where wandb is missing or does not start even offline, instead of a note.
    """

    library: ClassVar[str] = "wandb"
    package: ClassVar[str] = "wandb"
    key: ClassVar[str] = "wandb_id"

    def open(self, opening: Opening) -> Wandb:
        return Wandb(opening)


def is_charted(name: str) -> bool:
    """Return True for a value of which wandb draws a chart by itself: losses and their terms, FID and IS of
    quick evaluations by their short names; losses, bits and the same scores of validations. With its
    pictures, a run then has at most a dozen charts; all else is logged too, but hidden.
    """
    before, _, last = name.rpartition("/")
    if f"{before}/" == TRAINING:
        return last in EVALUATIONS
    if name.startswith(VALIDATION):
        return last in ("loss", "bits_per_dim", *EVALUATIONS)
    return before.partition("/")[0] == "train" and not last.endswith(DIAGNOSTICS)


def image_of(picture: Picture) -> "wandb.Image | wandb.Video":
    """Return a picture as wandb takes it, with its caption; an animation as a GIF."""
    import wandb

    if is_moving(picture.path):
        return wandb.Video(io.BytesIO(gif_of(picture.path)), caption=picture.caption, format="gif")
    return wandb.Image(str(picture.path), caption=picture.caption)


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


def start(arguments: dict[str, Any], mode: Mode, bounds: Mapping[str, Any]) -> "wandb.Run":
    """Start a run online if that is allowed and possible, else offline; takes seconds either way.
    bounds: settings that limit how long wandb waits.
    """
    # wandb's own error reports wait 12 s more, at start and exit, for a server that does not answer.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    chosen = resolve() if mode == "auto" else mode
    if chosen == "online":
        try:
            return init(arguments | {"resume": "allow"}, "online", bounds)
        except wandb.errors.Error as error:
            complain(f"wandb runs offline: {one_line(error)}")
            with suppress(SystemExit):  # of a process of wandb's that failed
                tear_down()  # the failed start still holds the run's id
            chosen = "offline"
    return init(arguments, chosen, bounds)


def start_process() -> "wandb.Settings":
    """Start wandb's own process where none runs, and return the settings of the machine and the user.

    It gets no standard error: where it cannot write its log into the user's cache folder, it would print
    twenty lines there, the last of them below those of the run.
    """
    import wandb

    sys.stderr.flush()
    before, null = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, STDERR)
        return wandb.setup(wandb.Settings(silent=True)).settings
    finally:
        os.dup2(before, STDERR)
        os.close(null)
        os.close(before)


def resolve() -> str:
    """Resolve the mode "auto": WANDB_MODE and `wandb offline` come first, then whether there is a key."""
    import wandb

    configured = start_process().mode
    if configured not in ("online", "run"):
        return configured
    try:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    except wandb.errors.AuthenticationError as error:
        complain(f"wandb runs offline: {one_line(error)}")
        return "offline"


def init(arguments: dict[str, Any], mode: str, bounds: Mapping[str, Any]) -> "wandb.Run":
    """Call wandb.init with a limit on every wait, a quiet console, and no earlier run left open."""
    import wandb

    start_process()
    settings = wandb.Settings(**bounds, **QUIET)
    # It also takes the earlier names of modes, which its annotation lacks.
    run = wandb.init(**arguments, mode=mode, settings=settings, reinit="finish_previous")  # type: ignore[arg-type]
    with suppress(ImportError, AttributeError):  # a later wandb may have them elsewhere
        from wandb.sdk.lib import import_hooks

        # They send a message from inside `import sklearn`, in the thread of the training, and fail with it.
        import_hooks.unregister_all_post_import_hooks()
    return run
