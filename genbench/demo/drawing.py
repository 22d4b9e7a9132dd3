"""Grids of samples as they come out of noise, drawn by a trained model on demand."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench.data import to_uint8
from genbench.evaluation.pictures import tile
from genbench.evaluation.prompts import asked, prompt_remarks
from genbench.evaluation.sampling_mode import drawn_in_turn, sampling_mode
from genbench.generator import Generator, Trajectory, Y
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.device import make_repeatable
from genbench.runtime.memory import memory_for

__all__ = ["MOST", "Demo", "Wish"]

MOST = 64  # samples of a wish: one batch
VISIBLE = 128  # pixels; smaller images are enlarged to at least this
PAUSE = 0.12  # seconds from one picture to the next: a browser shows no more
KEPT = 4  # models with other settings that stay in memory


@dataclass(frozen=True)
class Wish:
    """One wish of a visitor: n samples of a seed, of a class or a text, by settings of the sampling.

    label: the class, from 0; None takes all in turn. prompt: the text of a model of texts. settings: by their
    full keys, {"sampler.steps": 20}; those that are left out stay the run's own. Raises ValueError on an n or
    a seed that cannot be.
    """

    n: int = 16
    seed: int = 0
    label: int | None = None
    prompt: str = ""
    settings: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST:
            raise ValueError(f"the number of images is {self.n}; it must be from 1 to {MOST}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"the seed is {self.seed}; it must be at least 0 and below 2^63")


class Demo:
    """A trained model that draws what visitors wish.

    load: settings of the sampling -> the model with them; called once for each, and a few are kept.
    """

    def __init__(self, load: Callable[[Mapping[str, object]], Generator], device: torch.device) -> None:
        self.load, self.device = load, device
        self.kept: OrderedDict[tuple[tuple[str, object], ...], Generator] = OrderedDict()
        self.model = self.with_settings({})

    def with_settings(self, settings: Mapping[str, object]) -> Generator:
        """Return the model with other settings of the sampling, from memory where it is there. Raises
        ValueError on settings that the model does not have or that cannot be.
        """
        key = tuple(sorted(settings.items()))
        model = self.kept.pop(key, None)
        self.kept[key] = self.load(settings) if model is None else model
        while len(self.kept) > KEPT:
            self.kept.popitem(last=False)
        return self.kept[key]

    def pictures(self, wish: Wish) -> Iterator[np.ndarray]:
        """Return an iterator over grids of the samples, (H, W) or (H, W, 3) uint8, from noise to the finished
        images, as often as a browser can show them; of a model that draws in one step the finished ones
        alone.

        The last grid shows the images of `genbench sample` with this seed and n. Raises ValueError on a class
        or a text that the model cannot take, before anything is drawn; the iterator raises OutOfMemory.
        """
        model = self.with_settings(wish.settings or {})
        prompts = [wish.prompt] if model.takes_text else []
        y = asked(model, wish.n, label=wish.label, prompts=prompts, device=self.device).y
        return self.grids(model, y, wish)

    def grids(self, model: Generator, y: Y, wish: Wish) -> Iterator[np.ndarray]:
        """Yield the grids of `pictures`; y: the n labels or texts of the wish."""
        shown = -float("inf")
        for state, is_last in with_end(self.states(model, y, wish)):
            if is_last or time.monotonic() > shown + PAUSE:
                yield grid(to_uint8(state).cpu())
                shown = time.monotonic()

    def remarks(self, wish: Wish) -> list[str]:
        """Return remarks on the text of a wish that `pictures` has taken, such as words that no training
        caption had.
        """
        return prompt_remarks(self.model, [wish.prompt.strip()]) if self.model.takes_text else []

    @torch.no_grad()  # of a generator, at each of its steps: a server may take them in several threads
    def states(self, model: Generator, y: Y, wish: Wish) -> Iterator[Tensor]:
        """Yield the states of the samples on their way, (n, C, H, W), the last one the samples. The random
        numbers are those of the first batch of `genbench sample`.
        """
        make_repeatable(self.device)
        stream = Context(self.device, wish.seed).generator("evaluate", 0)
        work = f"drawing {wish.n} images at once on {self.device}"
        with rng.fork(self.device), memory_for(work, "wish for fewer images"):
            if isinstance(model, Trajectory):
                yield from drawn_in_turn(model, model.states(wish.n, y, stream))
                return
            with sampling_mode(model):
                x = model.sample(wish.n, y, rng=stream)
            yield x


def with_end(states: Iterator[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Yield each of the states, at least one, with True beside the last. A state may share its memory with
    the next one: it is copied before that is drawn.
    """
    held = next(states).clone()
    for state in states:
        yield held, False
        held = state.clone()
    yield held, True


def grid(images: Tensor) -> np.ndarray:
    """Arrange images (N, C, H, W) uint8 near a square, enlarged to be seen."""
    columns = -(-len(images) // int(len(images) ** 0.5))
    return tile(images, columns, -(-VISIBLE // min(images.shape[-2:])))
