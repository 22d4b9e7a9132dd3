"""Sizes of the benchmark, and a run of it as it is planned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = ["FULL", "TOY", "Later", "Place", "Planned", "Size"]


@dataclass(frozen=True)
class Size:
    """How long the runs of the benchmark are: in full, or toys that try its machinery.

    digits, fashion, target, tiny, text: seconds of training. images: of trainings on digits that are equal in
    images. words: overrides of every run, and of those of single models.
    """

    name: str
    digits: float
    fashion: float
    target: float
    tiny: float
    text: float
    images: int
    gaussians: int
    samples: int
    seeds: tuple[int, ...] = (0, 1, 2)
    models: tuple[str, ...] = ()
    small: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def repeats(self) -> str:
        """How many seeds a row has."""
        return f"{len(self.seeds)} seeds"

    @property
    def stable(self) -> int:
        """Images of each training that tries factors on learning rates."""
        return max(self.images // 3, 256)

    def chosen(self, models: Sequence[str]) -> list[str]:
        """Return those of some models that are trained at this size."""
        return [name for name in models if name in self.models or not self.models]


FULL = Size("full", 120, 600, 1800, 60, 1200, 60_000, 20_000, 2000)
TOY = Size(
    *("toy", 0.5, 0.5, 1, 0.5, 0.5, 256, 256, 64),
    seeds=(0, 1),
    models=("ddpm", "gan"),
    small={"ddpm": ("network.width=8", "network.blocks=1", "sampler.steps=2")},
)


class Place(NamedTuple):
    """Where things lie: the files of Fashion-MNIST, None where genbench downloads them, and the records.

    only_listed: nothing may be measured for the plan, which is listed and not executed.
    """

    root: Path | None
    records: Path
    only_listed: bool = False


class Later(NamedTuple):
    """A measurement of a finished run, which its directory then holds.

    name: of the file or folder in the directory of the run; words: of the command, RUN and OUT in the place
    of the directory and of the result; seconds: that it takes, roughly.
    """

    name: str
    words: Sequence[str]
    seconds: float = 30.0


class Planned(NamedTuple):
    """A run of the benchmark: the overrides of `python main.py`, and what is measured of it afterwards.

    key: of its part; seconds: that it takes with its evaluation, roughly.
    """

    key: str
    words: tuple[str, ...]
    seconds: float
    later: tuple[Later, ...] = ()

    @property
    def whole_seconds(self) -> float:
        """Seconds of the run with all that is measured of it, roughly."""
        return self.seconds + sum(later.seconds for later in self.later)

    @property
    def seed(self) -> int:
        """The seed of the run: that of its overrides, 0 where they have none."""
        return int(self.chosen("seed", "0"))

    @property
    def model(self) -> str:
        """The model of the run: that of its overrides, which for presets of a sweep is a DDPM unless they
        name another one.
        """
        return self.chosen("model", "ddpm")

    def chosen(self, key: str, default: str) -> str:
        """Return the value that the overrides give to a key."""
        found = [word.partition("=")[2] for word in self.words if word.startswith(f"{key}=")]
        return found[-1] if found else default
