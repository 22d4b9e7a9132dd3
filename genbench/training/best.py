"""The best validation of a training so far, by which weights are saved (trainer.keep=best) and a training may
end before its budget (trainer.patience).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Best", "check_best"]


@dataclass
class Best:
    """The best validation so far: its value and the images seen then, None before the first; how many
    validations since then were not better; why the training ended early, in words, None where it did not.
    A checkpoint holds all of it.
    """

    value: float | None = None
    images_seen: int | None = None
    waiting: int = 0
    ended_early: str | None = None

    def improves(self, value: float | None, *, images_seen: int, better: int) -> bool:
        """Enter a validation; True where it is better than all before, so that its weights are to be saved.

        value: None or nan where it could not be taken, which is no improvement. better: -1 where lower is
        better, 1 where higher is.
        """
        known = value is not None and value == value
        if not known or (self.value is not None and better * (value or 0.0) <= better * self.value):
            self.waiting += 1
            return False
        self.value, self.images_seen, self.waiting = value, images_seen, 0
        return True


def check_best(found: Mapping[str, Any]) -> None:
    """Raise ValueError unless what a checkpoint has under "best" is what `Best` holds."""
    kinds = {"value": float, "images_seen": int, "waiting": int, "ended_early": str}
    if found.keys() != kinds.keys():
        raise ValueError(f"its best validation is no record of {', '.join(kinds)}")
    for key, kind in kinds.items():
        value = found[key]
        if value is None and key != "waiting":
            continue
        if type(value) is not kind or (isinstance(value, int) and not 0 <= value < 2**63):
            raise ValueError(f"its best validation has {repr(value)[:40]} as {key}, not a {kind.__name__}")
        if isinstance(value, str) and not value.isprintable():  # it is printed and recorded
            raise ValueError(f"its best validation has {repr(value)[:40]} as {key}, not a line of text")
