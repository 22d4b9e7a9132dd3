"""The options of `tracker=`: recipes that open a run's trackers when it begins."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from genbench.records.flatten import flatten
from genbench.runtime.printable import complain
from genbench.tracking.jsonl import JsonLines
from genbench.tracking.tracker import Tracker, Trackers
from genbench.tracking.wandb import Mode, RunLabels, Wandb, WandbStartError

__all__ = ["JsonlTracking", "Tracking", "WandbTracking", "check_wandb_name"]

FORBIDDEN = re.compile(r"[/\\#?%:\x00-\x1f]")
"""Characters that wandb accepts in no name of a project."""
LONGEST_NAME = 128
WANDB_MODES = ("online", "offline", "disabled", "shared", "run", "dryrun")
"""Values of the variable WANDB_MODE."""


class Tracking(ABC):
    """A recipe for a run's tracker: the base class of every option of `tracker=`.

    It carries the settings of its option; the tracker itself is opened only when a run begins.
    """

    @abstractmethod
    def open(
        self,
        run_dir: Path,
        *,
        group: str,
        name: str,
        choices: Mapping[str, str],
        config: Mapping[str, Any],
        resume_state: Mapping[str, Any] | None = None,
    ) -> Tracker:
        """Open metrics.jsonl in `run_dir`, and the other trackers of the recipe.

        group, name: of the run. choices: the option chosen in each group, {"model": "ddpm", ..}. config: the
        resolved configuration, nested. resume_state: the tracker's `state` in the checkpoint that the run
        resumes at; later events are cut off. None starts the run anew: all earlier events are cut off.
        """


@dataclass(frozen=True)
class JsonlTracking(Tracking):
    """The option `jsonl`: metrics.jsonl in the run's directory, and no other tracker."""

    def open(
        self,
        run_dir: Path,
        *,
        group: str,
        name: str,
        choices: Mapping[str, str],
        config: Mapping[str, Any],
        resume_state: Mapping[str, Any] | None = None,
    ) -> Tracker:
        return open_lines(run_dir, resume_state)


@dataclass(frozen=True)
class WandbTracking(Tracking):
    """The options `wandb` and `auto`: metrics.jsonl, mirrored by wandb in `project`.

    required: raise WandbStartError where wandb does not start, instead of a note. mode: auto (online with a
    key), online or offline. Raises ValueError on another mode.
    """

    project: str
    required: bool
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        check_wandb_name(self.project, "tracker.project")
        asked = os.environ.get("WANDB_MODE") or "online"
        if self.required and asked not in WANDB_MODES:
            raise ValueError(f"the variable WANDB_MODE is {asked!r}; choose from {', '.join(WANDB_MODES)}")
        if self.mode not in get_args(Mode):
            raise ValueError(f"tracker.mode is {self.mode!r}; choose from {', '.join(get_args(Mode))}")

    def open(
        self,
        run_dir: Path,
        *,
        group: str,
        name: str,
        choices: Mapping[str, str],
        config: Mapping[str, Any],
        resume_state: Mapping[str, Any] | None = None,
    ) -> Tracker:
        lines = open_lines(run_dir, resume_state)
        run_id = (resume_state or {}).get("wandb_id")
        about = RunLabels(self.project, group, name, job_type=choices["data"], tags=tags(choices))
        known = {**choices, **flatten(config), "family": choices["model"]}
        try:
            mirror = Wandb(run_dir, about, config=known, mode=self.mode, run_id=run_id)
            return Trackers([lines, mirror])
        except WandbStartError as error:
            if self.required:
                lines.finish("failed")
                raise WandbStartError(f"{error}: mend that, or leave wandb out by tracker=jsonl") from error
            complain(f"{error}; the run is logged to {lines.path} alone")
            return lines


def check_wandb_name(name: str, key: str) -> None:
    """Raise ValueError, with the key, on a name that wandb accepts for no project and no account."""
    if not name.strip() or len(name) > LONGEST_NAME or FORBIDDEN.search(name):
        raise ValueError(
            f"{key} is {name!r}; it must be 1 to {LONGEST_NAME} characters, without / \\ # ? % : and line "
            "breaks"
        )


def tags(choices: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tags by which a run is found in wandb: its family, its data, whether it has labels."""
    labels = "conditional" if choices["conditional"] == "true" else "unconditional"
    return choices["model"], choices["data"], labels


def open_lines(run_dir: Path, resume_state: Mapping[str, Any] | None) -> JsonLines:
    """Open the run's metrics.jsonl, cut to its length at the checkpoint; emptied where there is none."""
    lines = JsonLines(Path(run_dir) / "metrics.jsonl")
    lines.truncate(0 if resume_state is None else resume_state["position"])
    return lines
