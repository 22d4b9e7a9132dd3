"""A batch against the budget, the training set and the free memory, before a run begins."""

import pytest
import torch

from genbench.runtime import memory
from genbench.training import recipe_checks
from genbench.training.budget import Budget
from genbench.training.loop import Recipe, Trainer
from genbench.training.lr_schedule import Constant
from genbench.training.recipe_checks import check_memory_of_batch, check_times, saved_bytes
from tests.toys import toy_model

CPU = torch.device("cpu")


def recipe(images: int | None, **settings: int) -> Recipe:
    return Recipe(Trainer(**settings), torch.optim.Adam, Constant(), Budget(images=images, seconds=1.0))


@pytest.mark.parametrize(("batch", "images"), [(64, 64), (64, 1), (100, 1), (128, 128), (64, None)])
def test_a_batch_of_the_training_set_or_of_the_budget_is_legal(batch: int, images: int | None) -> None:
    check_times(recipe(images, batch_size=batch), 100)


def test_a_batch_beyond_both_is_refused_with_the_largest_legal_one() -> None:
    with pytest.raises(ValueError, match=r"batch_size is 101, .* at most 100"):
        check_times(recipe(50, batch_size=101), 100)


def test_an_evaluation_on_the_way_must_come_before_the_end() -> None:
    check_times(recipe(1000, evaluate_every_images=999), 100)
    with pytest.raises(ValueError, match=r"evaluate_every_images is 1000, .*budget.images=1000"):
        check_times(recipe(1000, evaluate_every_images=1000), 100)


def test_what_a_step_saves_grows_with_the_images_and_not_with_the_weights() -> None:
    """The activations of a U-Net are a few hundred numbers for each pixel of a 4x4 image."""
    saved = saved_bytes(toy_model())
    assert 16 * 4 * 10 < saved < 16 * 4 * recipe_checks.MANY


def test_a_step_is_measured_without_a_trace() -> None:
    model, stream = toy_model(num_classes=3), torch.get_rng_state()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    saved_bytes(model)
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_batch_beyond_the_memory_is_refused_with_one_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    model, free = toy_model(), 10**8
    monkeypatch.setattr(recipe_checks, "free_memory", lambda: free)
    with pytest.raises(ValueError, match=r"0.1 GB are free: take at most \d+") as refused:
        check_memory_of_batch(model, Trainer(batch_size=2**20), CPU)
    fits = int(str(refused.value).rpartition(" ")[2])
    check_memory_of_batch(model, Trainer(batch_size=fits), CPU)
    with pytest.raises(ValueError, match=rf"take at most {fits}"):
        check_memory_of_batch(model, Trainer(batch_size=fits + 1), CPU)


def test_parts_of_a_batch_need_the_memory_of_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe_checks, "free_memory", lambda: 10**8)
    check_memory_of_batch(toy_model(), Trainer(batch_size=2**16, accumulate=2**12), CPU)
    with pytest.raises(ValueError, match="batch_size"):
        check_memory_of_batch(toy_model(), Trainer(batch_size=2**16), CPU)


def test_the_free_memory_is_some_of_the_machine() -> None:
    assert 0 < memory.free_memory() < 2**50
