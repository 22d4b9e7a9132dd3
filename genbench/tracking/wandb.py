"""Weights & Biases as a mirror of the log; the only importer of wandb."""

import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genbench.tracking.tracker import Tracker

if TYPE_CHECKING:
    import wandb

__all__ = ["Mode", "Wandb", "WandbStartError"]

Mode = Literal["auto", "online", "offline"]

# Bounds in seconds and attempts: without them an unreachable server holds up the run for minutes.
BOUNDS = {
    "init_timeout": 6,
    "finish_timeout": 30,  # what is not sent by then stays on the disk, for `wandb sync`
    "x_graphql_retry_max": 1,
    "x_graphql_timeout_seconds": 3,
    "x_graphql_retry_wait_max_seconds": 1,
}
# The run's own record has the git commit and the versions; the terminal belongs to the progress bars.
QUIET = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "x_disable_meta": True,
    "x_save_requirements": False,
}


class WandbStartError(RuntimeError):
    """wandb is not installed, or does not start."""


class Wandb(Tracker):
    """One wandb run with its files below `run_dir`; offline where there is no key or no server.

    mode "auto" is online where a key is configured and WANDB_MODE does not say otherwise. It never asks
    for anything. `run_id` continues an earlier run online; offline it starts a new one of the same id.

    Raises WandbStartError where wandb is not installed or does not start even offline.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        project: str,
        group: str,
        name: str,
        config: Mapping[str, Any],
        mode: Mode = "auto",
        run_id: str | None = None,
    ) -> None:
        self.id = run_id or uuid.uuid4().hex[:8]
        arguments = {"dir": str(run_dir), "project": project, "group": group, "name": name, "id": self.id}
        try:
            Path(run_dir).mkdir(parents=True, exist_ok=True)
            self.run = start({**arguments, "config": dict(config)}, mode)
        # Whatever is raised here (ImportError, wandb's errors, pydantic's), the caller decides one thing.
        except Exception as error:
            raise WandbStartError(f"wandb did not start: {one_line(error)}") from error
        self.run.define_metric("*", step_metric="images_seen")

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        self.run.log({"images_seen": images_seen, **values})

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        import wandb

        self.run.log({"images_seen": images_seen, name: wandb.Image(str(path))})

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        self.run.summary.update(dict(values))

    def state(self) -> dict[str, Any]:
        return {"wandb_id": self.id}

    def finish(self, status: str) -> None:
        self.run.finish(exit_code=0 if status == "done" else 1)


def start(arguments: dict[str, Any], mode: Mode) -> "wandb.Run":
    """Start a run online if it may be and can be, else offline, in seconds either way."""
    # wandb's own error reports wait 12 s more, at start and exit, for a server that does not answer.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    chosen = resolve(mode) if mode == "auto" else mode
    if chosen == "online":
        try:
            return init(arguments | {"resume": "allow"}, "online")
        except wandb.errors.Error as error:
            print(f"genbench: wandb goes on offline: {one_line(error)}", file=sys.stderr)
            wandb.teardown()  # the failed start still holds the run's id
            chosen = "offline"
    return init(arguments, chosen)


def resolve(mode: Mode) -> str:
    """What "auto" means here: WANDB_MODE and `wandb offline` first, then whether there is a key."""
    import wandb

    configured = wandb.setup(wandb.Settings(silent=True)).settings.mode
    if configured not in ("online", "run"):
        return configured
    try:
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
    except wandb.errors.AuthenticationError as error:
        print(f"genbench: wandb goes on offline: {one_line(error)}", file=sys.stderr)
        return "offline"


def init(arguments: dict[str, Any], mode: str) -> "wandb.Run":
    """wandb.init with bounds on every wait, a quiet console, and no run left over from before."""
    import wandb

    settings = wandb.Settings(**BOUNDS, **QUIET)
    return wandb.init(**arguments, mode=mode, settings=settings, reinit="finish_previous")


def one_line(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
