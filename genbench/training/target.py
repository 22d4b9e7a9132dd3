"""The target of a training, at which it ends (budget.until), and what its checks on the validation images
found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from genbench.records.metric_name import is_metric, of_ema

__all__ = ["Target", "TargetChecks", "check_target_checks", "validated"]

VALIDATION = "validation/"


class Target(NamedTuple):
    """A value at which a training ends, of a number that each validation measures; until: None for no end.

    kind: "bits_per_dim" or the kind of a score, such as fid. better: -1 where the value must be `until` or
    lower, 1 where it must be `until` or higher.
    """

    kind: str = "fid"
    until: float | None = None
    better: int = -1

    def is_reached(self, value: float | None) -> bool:
        """True where a value is as good as the target; never for one that is missing or not a number."""
        if self.until is None or value is None:
            return False
        return self.better * value >= self.better * self.until


@dataclass
class TargetChecks:
    """The checks of a training against its target, all of which a checkpoint holds: their number, the seconds
    that they took, which are no part of the training's, and the latest value. images_seen, seconds: of the
    training at the check that found the target reached, None before it.
    """

    checks: int = 0
    checking_seconds: float = 0.0
    value: float | None = None
    images_seen: int | None = None
    seconds: float | None = None


def validated(found: Mapping[str, float], kind: str) -> float | None:
    """Return a number of a validation by its kind, "bits_per_dim" or that of a score, from its names in the
    log, "validation/fid[..]"; None where the validation did not measure it.
    """
    names = {name.removeprefix(VALIDATION): value for name, value in found.items()}
    if kind == "bits_per_dim":
        return names.get(kind)
    return of_ema({name: value for name, value in names.items() if is_metric(name)}).get(kind)


def check_target_checks(found: Mapping[str, Any]) -> None:
    """Raise ValueError unless what a checkpoint has under "target_checks" is what `TargetChecks` holds:
    counts and seconds that are not negative, and a value, all of which are printed and recorded.
    """
    kinds: dict[str, type] = {
        "checks": int,
        "checking_seconds": float,
        "value": float,
        "images_seen": int,
        "seconds": float,
    }
    if found.keys() != kinds.keys():
        raise ValueError(f"its checks of the target are no record of {', '.join(kinds)}")
    for key, kind in kinds.items():
        value = found[key]
        if value is None and key not in ("checks", "checking_seconds"):
            continue
        is_sound = isinstance(value, int | float) and (key == "value" or 0 <= value < 2**63)
        if type(value) is not kind or not is_sound:
            raise ValueError(f"its checks of the target have {repr(value)[:40]} as {key}")
