"""The diffusion family: what it makes of images that are given."""

import pytest
import torch

from tests.toys import toy_model, toy_process


def images(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_inpainting_keeps_what_is_given_and_draws_the_rest() -> None:
    model, x = toy_model().eval(), images()
    mask = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    mask[:, :, 2:] = True
    filled = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(filled[:, :, :2], x[:, :, :2])
    assert not torch.allclose(filled[:, :, 2:], x[:, :, 2:], atol=0.05)
    again = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(again, filled)


def test_inpainting_all_is_sampling() -> None:
    model, x = toy_model().eval(), images()
    mask = torch.ones(3, 1, 4, 4, dtype=torch.bool)
    filled = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(filled, model.sample(3, rng=torch.Generator().manual_seed(1)))


def test_variations_leave_the_image_as_their_strength_grows() -> None:
    from genbench.diffusion.sampler import DDIM

    model, x = toy_model(process=toy_process(sampler=DDIM(20))).eval(), images()
    gaps = [
        float((model.vary(x, strength=s, rng=torch.Generator().manual_seed(1)) - x).abs().mean())
        for s in (0.05, 0.3, 1.0)
    ]
    assert gaps[0] < gaps[1] < gaps[2]
    assert gaps[0] < 0.1


def test_a_wrong_mask_or_strength_is_refused() -> None:
    model, x = toy_model(), images()
    with pytest.raises(ValueError, match=r"mask has shape \(3, 1, 4, 4\) and dtype torch.float32"):
        model.inpaint(x, torch.ones(3, 1, 4, 4))
    with pytest.raises(ValueError, match=r"start is 1\.5"):
        model.vary(x, strength=1.5)
