"""The trackers that a config can choose, each a recipe that opens when a run begins."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from genbench.records.flatten import flatten
from genbench.runtime.printable import complain
from genbench.tracking.jsonl import JsonLines
from genbench.tracking.tracker import Tracker, Trackers
from genbench.tracking.wandb import Mode, Wandb, WandbStartError

__all__ = ["JsonlTracking", "Tracking", "WandbTracking"]


class Tracking(ABC):
    """A recipe for a run's tracker."""

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
        """Open metrics.jsonl in `run_dir`, and what else the recipe has, for the (nested) config.

        choices: the option chosen in each group, {"model": "ddpm", "data": "digits", ..}.
        `resume_state` is a tracker's `state` from the checkpoint that the run goes on from: events
        logged after it are cut off. None is a run from its beginning: all its earlier events are.
        """


@dataclass(frozen=True)
class JsonlTracking(Tracking):
    """JSON lines alone."""

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
    """JSON lines, mirrored by wandb; where that does not start: an error if `required`, else a note."""

    project: str
    required: bool
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode is {self.mode!r}; it must be one of {', '.join(get_args(Mode))}")

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
        about = {"project": self.project, "group": group, "name": name, "job_type": choices["data"]}
        known = {**choices, **flatten(config), "family": choices["model"]}
        try:
            mirror = Wandb(run_dir, **about, tags=tags(choices), config=known, mode=self.mode, run_id=run_id)
            return Trackers([lines, mirror])
        except WandbStartError as error:
            if self.required:
                lines.finish("failed")
                raise
            complain(f"{error}; the run is logged to {lines.path} alone")
            return lines


def tags(choices: Mapping[str, str]) -> list[str]:
    """What a run is found by: its family, its data, whether it has labels."""
    labels = "conditional" if choices["conditional"] == "true" else "unconditional"
    return [choices["model"], choices["data"], labels]


def open_lines(run_dir: Path, resume_state: Mapping[str, Any] | None) -> JsonLines:
    """The run's JSON lines, cut to where the checkpoint left them."""
    lines = JsonLines(Path(run_dir) / "metrics.jsonl")
    lines.truncate(0 if resume_state is None else resume_state["position"])
    return lines
