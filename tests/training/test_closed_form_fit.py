"""Numbers that are fitted after a training: from training images alone, repeatable, and cheap."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from genbench.data import Split, to_uint8
from genbench.generator import FitsAfterTraining
from genbench.runtime.context import Context
from genbench.training.closed_form_fit import FEWEST, MOST, fit, fit_images
from tests.training.test_loop import CPU, Quadratic, images


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbench.training.closed_form_fit.BATCH", 16)


class Noting(Quadratic, FitsAfterTraining):
    """Remembers what it was fitted to, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.modes, self.noise = list[Tensor](), list[bool](), list[Tensor]()

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        for x, y in batches:
            assert y is None  # the model is unconditional, whatever the images are
            self.seen.append(x)
            self.modes.append(self.training)
            self.noise.append(torch.randn(3))


def fitted(split: Split, *, n: int = 50, seed: int = 0) -> Noting:
    model = Noting()
    assert fit(model, split, n, Context(CPU, seed)) > 0
    return model


def test_the_images_are_training_images_each_as_often_as_any_other() -> None:
    split = images(20)
    shown = to_uint8(torch.cat(fitted(split, n=40).seen))
    counts = [(split.images == image).flatten(1).all(1).long() for image in shown]
    assert sum(counts).tolist() == [2] * 20


def test_images_and_noise_follow_from_the_seed_and_batches_are_cut_at_the_end() -> None:
    first, again, other = fitted(images()), fitted(images()), fitted(images(), seed=1)
    assert [len(x) for x in first.seen] == [16, 16, 16, 2]
    assert torch.equal(torch.cat(first.seen), torch.cat(again.seen))
    assert torch.equal(torch.cat(first.noise), torch.cat(again.noise))
    assert not torch.equal(torch.cat(first.seen), torch.cat(other.seen))


def test_the_generators_and_the_mode_stay_and_the_fit_is_made_in_evaluation_mode() -> None:
    model = Noting().train()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    fit(model, images(), 32, Context(CPU))
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert model.modes == [False, False]


def test_a_model_with_nothing_to_fit_takes_no_time() -> None:
    assert fit(Quadratic(), images(), 32, Context(CPU)) == 0


@pytest.mark.parametrize("seen", [10_000, 60_000, 1_000_000])
def test_two_fits_take_at_most_a_twentieth_of_the_trainings_passes(seen: int) -> None:
    """A training passes forward and backward, as much as three times forward."""
    assert 2 * fit_images(seen) <= 3 * seen / 20
    assert FEWEST <= fit_images(seen) <= MOST
