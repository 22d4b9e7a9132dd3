"""Checkpoints: everything that a training needs to go on bit for bit, in one file, written atomically."""

import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from genbench.run import atomic_file

__all__ = ["CheckpointStore"]


class CheckpointStore:
    """The checkpoint of one run: `last.pt`, and its predecessor `previous.pt` in case the last is damaged."""

    def __init__(self, folder: Path) -> None:
        self.last, self.previous = folder / "last.pt", folder / "previous.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write state dicts, tensors, numbers and strings; a kill at any moment leaves a whole checkpoint."""
        self.last.parent.mkdir(parents=True, exist_ok=True)
        if self.last.exists():
            self.last.replace(self.previous)
        with atomic_file(self.last) as file:
            torch.save(state, file)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The newest checkpoint that can be read, None where there is none yet.

        Raises ValueError where there are files but none can be read.
        """
        damaged = []
        for path in filter(Path.exists, (self.last, self.previous)):
            try:
                return torch.load(path, map_location=device, weights_only=True)
            except (RuntimeError, EOFError, OSError, ValueError, KeyError, UnpicklingError) as error:
                damaged.append(path)
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                warnings.warn(f"the checkpoint {path} cannot be read ({reason})", stacklevel=2)
        if damaged:
            raise ValueError(
                f"no checkpoint in {self.last.parent} can be read: restore one, or start afresh by rerun=true"
            )
        return None
