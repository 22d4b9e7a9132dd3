"""The options of `tracker=`: the recipe that opens a run's trackers when it begins."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from genbench.records.flatten import flatten
from genbench.records.json_lines import parse_lines
from genbench.records.titles import UNCONDITIONAL, conditioning
from genbench.runtime.printable import complain
from genbench.tracking.jsonl import RESERVED, JsonLines
from genbench.tracking.mirror import Mirror, MirrorRecipe, MirrorStartError, Mode, Opening, RunLabels, Sent
from genbench.tracking.tracker import Tracker, Trackers

__all__ = ["Tracking", "check_wandb_name"]

FORBIDDEN = re.compile(r"[/\\#?%:\x00-\x1f]")
"""Characters that wandb accepts in no name of a project."""
LONGEST_NAME = 128
WANDB_MODES = ("online", "offline", "disabled", "shared", "run", "dryrun")
"""Values of the variable WANDB_MODE."""


@dataclass(frozen=True)
class Tracking:
    """A recipe for a run's trackers: metrics.jsonl always and first, and the libraries that mirror it.

    mirrors: their recipes by the option of `tracker=` that brings them. project: of wandb and trackio, the
    experiment of MLflow. artifacts: store the final checkpoint and grid there too. mode: of wandb, auto
    (online with a key), online or offline. Raises ValueError on another mode.
    """

    mirrors: Mapping[str, MirrorRecipe]
    project: str = "genbench"
    artifacts: bool = False
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        check_wandb_name(self.project, "tracker.project")
        asked = os.environ.get("WANDB_MODE") or "online"
        wandb = self.mirrors.get("wandb")
        if wandb is not None and wandb.required and asked not in WANDB_MODES:
            raise ValueError(f"the variable WANDB_MODE is {asked!r}; choose from {', '.join(WANDB_MODES)}")
        if self.mode not in get_args(Mode):
            raise ValueError(f"tracker.mode is {self.mode!r}; choose from {', '.join(get_args(Mode))}")

    def check(self) -> None:
        """Raise ValueError where a library that was asked for by name is not installed."""
        for option, recipe in self.mirrors.items():
            recipe.check(option)

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
        """Open metrics.jsonl in `run_dir`, and the mirrors.

        group, name: of the run. choices: the option chosen in each group, {"model": "ddpm", ..}. config: each
        setting once, nested or by its dotted key. resume_state: the trackers' `state` in the checkpoint that
        the run resumes at; later events are cut off. None starts the run anew: all earlier events are cut
        off. Raises MirrorStartError where a required library does not start.
        """
        path, position = Path(run_dir) / "metrics.jsonl", (resume_state or {}).get("position", 0)
        opening = Opening(
            run_dir=Path(run_dir),
            labels=RunLabels(self.project, group, name, job_type=choices["data"], tags=tags(choices, config)),
            config={**choices, **flatten(config), "family": choices["model"]},
            state=resume_state or {},
            sent=Sent() if resume_state is None else Sent(logged_after(path, position)),
            mode=self.mode,
            artifacts=self.artifacts,
        )
        trackers: list[Tracker] = [lines := JsonLines(path)]
        lines.truncate(position)
        try:
            for recipe in self.mirrors.values():
                trackers += mirror_or_note(recipe, opening, path)
        except MirrorStartError:
            Trackers(trackers).finish("failed")
            raise
        return Trackers(trackers)


def mirror_or_note(recipe: MirrorRecipe, opening: Opening, lines: Path) -> list[Mirror]:
    """Start one mirror; where it does not start and is not required, print a note and return an empty list.
    lines: the path of metrics.jsonl, for the note. Raises MirrorStartError where it is required.
    """
    try:
        return [recipe.start(opening)]
    except MirrorStartError as error:
        if recipe.required:
            raise
        complain(f"{error}; the run is logged to {lines} without it")
        return []


def logged_after(path: Path, position: int) -> Iterator[tuple[str, int]]:
    """Yield the name of each value and picture in metrics.jsonl behind its first `position` bytes, with the
    images seen at its time; nothing where there is no such file.
    """
    tail = path.read_bytes()[position:] if path.is_file() else b""
    for event in parse_lines(tail).objects.values():
        images_seen = event.get("images_seen")
        if isinstance(images_seen, int):
            names = [event["image"]] if "image" in event else event.keys() - RESERVED
            yield from ((str(name), images_seen) for name in names)


def check_wandb_name(name: str, key: str) -> None:
    """Raise ValueError, with the key, on a name that wandb accepts for no project and no account."""
    if not name.strip() or len(name) > LONGEST_NAME or FORBIDDEN.search(name):
        raise ValueError(
            f"{key} is {name!r}; it must be 1 to {LONGEST_NAME} characters, without / \\ # ? % : and line "
            "breaks"
        )


def tags(choices: Mapping[str, str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tags by which a run is found in a tracker: its family, its data, whether it has labels.

    A guided run has a further one with the scale of its guidance: "guided (classifier_free 2)".
    """
    given = conditioning(choices, config) or UNCONDITIONAL
    labels = ["conditional"] if choices["conditional"] == "true" else []
    return choices["model"], choices["data"], *dict.fromkeys((*labels, given))
