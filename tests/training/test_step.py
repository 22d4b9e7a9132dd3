"""The pieces of a training step compute what torch's own functions do, bit for bit."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from genbench.contract.fake_cuda import CUDA, reading
from genbench.training.step import admitted, clip, held, only, others, read_admitted, total_norm, update

ONE = torch.ones(())


def gradients() -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=rng) for shape in ((), (3,), (40, 7), (8, 3, 3, 3))]


def test_the_norm_of_all_gradients_is_torchs_bit_for_bit() -> None:
    assert torch.equal(total_norm(gradients(), ONE), nn.utils.get_total_norm(gradients()))


def test_of_no_gradient_the_norm_is_zero() -> None:
    assert float(total_norm([], ONE)) == 0.0


@pytest.mark.parametrize("share", [0.1, 1 - 1e-7, 1.0, 1 + 1e-7, 10.0])
def test_clipping_is_torchs_bit_for_bit_below_at_and_above_the_norm(share: float) -> None:
    ours, norm = gradients(), total_norm(gradients(), ONE)
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in ours]
    for parameter, gradient in zip(parameters, gradients(), strict=True):
        parameter.grad = gradient
    clip(ours, share * float(norm), norm)
    nn.utils.clip_grads_with_norm_(parameters, share * float(norm), norm)
    for mine, parameter in zip(ours, parameters, strict=True):
        assert parameter.grad is not None
        assert torch.equal(mine, parameter.grad)


def test_a_gradient_that_is_not_finite_moves_no_weight_and_is_cleared() -> None:
    for bad in (torch.nan, torch.inf):
        weight = nn.Parameter(torch.ones(3))
        optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
        optimizer.param_groups[0]["initial_lr"] = 0.1
        weight.grad = torch.tensor([1.0, bad, 1.0])
        assert not update(optimizer, 1.0, 1.0, ONE).isfinite()
        assert weight.tolist() == [1, 1, 1]
        assert weight.grad is None
        assert not optimizer.state


@pytest.mark.parametrize("skip_norm", [None, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("norm", [1.0, math.inf, math.nan])
@pytest.mark.parametrize("loss", [1.0, -1.0, math.inf, -math.inf, math.nan])
def test_host_and_device_admit_the_same_updates(loss: float, norm: float, skip_norm: float | None) -> None:
    expected = math.isfinite(loss) and math.isfinite(norm) and (skip_norm is None or norm < skip_norm)
    numbers = torch.tensor(loss), torch.tensor(norm)
    assert bool(admitted(*numbers, skip_norm)) == read_admitted(*numbers, skip_norm) == expected


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_an_update_on_a_gpu_reads_nothing_back(clip_norm: float | None) -> None:
    with reading() as reads:
        weight = nn.Parameter(torch.ones(3, device=CUDA))
        weight.grad = torch.ones(3, device=CUDA)
        optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
        optimizer.param_groups[0]["initial_lr"] = 0.1
        update(optimizer, 1.0, clip_norm, torch.ones((), device=CUDA))
    assert reads.found == {}


def learning(parameters: Sequence[nn.Parameter]) -> list[bool]:
    return [parameter.requires_grad for parameter in parameters]


def test_held_parameters_learn_again_after_the_block_and_frozen_ones_never_do() -> None:
    a, b, both, frozen = (nn.Parameter(torch.ones(1)) for _ in range(4))
    frozen.requires_grad_(False)
    learned = {"a": [a, both], "b": [b, both, frozen]}
    with held(others(learned, "a")):
        assert learning([a, b, both, frozen]) == [True, False, True, False]
    assert learning([a, b, both, frozen]) == [True, True, True, False]
    with only(learned, "b"):
        assert learning([a, b, both, frozen]) == [False, True, True, False]
