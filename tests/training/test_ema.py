"""The moving average of weights."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from genbench.training.ema import Ema
from tests.toys import toy_model


def wander(model: torch.nn.Module, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=rng))


def test_ema_equals_torchs_averaged_model() -> None:
    model = toy_model()
    ours = Ema(model, halflife_images=100, rampup=None)
    decay = 0.5 ** (10 / 100)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    theirs.update_parameters(model)  # the first call only copies
    for step in range(5):
        wander(model, step)
        ours.update(images=10, images_seen=10 * (step + 1))
        theirs.update_parameters(model)
    for a, b in zip(ours.model.parameters(), theirs.module.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)  # float32, two forms of one lerp


def test_a_weight_has_half_its_share_after_the_half_life() -> None:
    model = toy_model()
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(1.0)
    ema = Ema(model, halflife_images=64, rampup=None)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.0)
    for _ in range(8):
        ema.update(images=8, images_seen=0)
    # float32 rounding of eight products
    assert all(torch.allclose(p, torch.full_like(p, 0.5), atol=1e-6) for p in ema.model.parameters())


def test_the_rampup_forgets_the_random_start() -> None:
    model = toy_model()
    ema = Ema(model, halflife_images=1e9, rampup=0.05)
    wander(model, 0)
    for k in range(1, 101):
        ema.update(images=10, images_seen=10 * k)
    for a, b in zip(ema.model.parameters(), model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)  # 2^(-sum 20/k) is below 1e-30 after the first steps


def test_buffers_are_copied() -> None:
    model = toy_model()
    model.register_buffer("counter", torch.zeros(()))
    ema = Ema(model, halflife_images=100)
    model.counter += 3
    ema.update(images=1, images_seen=1)
    assert float(ema.model.counter) == 3.0


def test_the_average_takes_no_gradient_and_evaluates() -> None:
    ema = Ema(toy_model().train(), halflife_images=100)
    assert not ema.model.training
    assert not any(p.requires_grad for p in ema.model.parameters())


@pytest.mark.parametrize("images", [1, 64])
def test_an_average_of_equal_weights_stays(images: int) -> None:
    model = toy_model()
    ema = Ema(model, halflife_images=10)
    ema.update(images=images, images_seen=images)
    for a, b in zip(ema.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
