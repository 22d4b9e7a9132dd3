"""Layers written by hand for speed, compared with the formulas of torch that they replace."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

from genbench.contract.fake_cuda import CUDA, reading
from genbench.nn.ddpm_pp import DDPMPlusPlus
from genbench.nn.dit import DiT
from genbench.nn.fast import MANY, SHORT, GroupNorm, Normalise, attention, conv_of_doubled
from genbench.nn.unet import UNet
from genbench.runtime.precision import BFloat16

SHAPE, GROUPS = (16, 12, 32, 32), 3


def case(dtype: torch.dtype = torch.float32) -> tuple[GroupNorm, Tensor, Tensor, Tensor]:
    """A norm with weights of its own, and a map, scales and shifts that want gradient."""
    norm = GroupNorm(GROUPS, SHAPE[1]).to(dtype)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = (3 * torch.randn(SHAPE, dtype=dtype) + 1).to(memory_format=torch.channels_last)
    scale, shift = torch.randn(2, *SHAPE[:2], 1, 1, dtype=dtype)
    return norm, x.requires_grad_(), scale.requires_grad_(), shift.requires_grad_()


def norm_written_out(norm: GroupNorm, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    h = F.group_norm(x.contiguous(), GROUPS, norm.weight, norm.bias, norm.eps)
    return h * (1 + scale) + shift


def test_the_case_is_one_that_torch_is_slow_at() -> None:
    norm, x, *_ = case()
    assert x.numel() > MANY
    assert norm.slow_in_torch(x)
    assert not norm.slow_in_torch(x.contiguous())
    assert not norm.slow_in_torch(x[:1])


def test_group_norm_is_torchs_formula_with_its_slopes() -> None:
    norm, x, scale, shift = case()
    ours, theirs = norm(x, scale, shift), norm_written_out(norm, x, scale, shift)
    assert torch.allclose(ours, theirs, atol=1e-5)  # float32, numbers up to about 30
    assert ours.is_contiguous(memory_format=torch.channels_last)
    wanted, weights = (x, scale, shift, norm.weight, norm.bias), torch.randn(SHAPE)
    slopes = zip(grad(ours, wanted, weights), grad(theirs, wanted, weights), strict=True)
    assert all((a - b).abs().max() < 1e-5 * b.abs().max() for a, b in slopes)  # sums of up to 16,384 numbers


def test_without_scale_and_shift_the_weights_are_common_to_all_images() -> None:
    norm, x, *_ = case()
    ours, theirs = norm(x), F.group_norm(x.contiguous(), GROUPS, norm.weight, norm.bias, norm.eps)
    wanted, weights = (x, norm.weight, norm.bias), torch.randn(SHAPE)
    slopes = zip(grad(ours, wanted, weights), grad(theirs, wanted, weights), strict=True)
    assert all((a - b).abs().max() < 1e-5 * b.abs().max() for a, b in slopes)


def test_small_and_contiguous_maps_get_the_same_scale_and_shift() -> None:
    norm, x, scale, shift = case()
    theirs = norm_written_out(norm, x, scale, shift)
    assert torch.allclose(norm(x.contiguous(), scale, shift), theirs, atol=1e-5)
    assert torch.allclose(norm(x[:1], scale[:1], shift[:1]), theirs[:1], atol=1e-5)


def test_first_and_second_derivatives_are_those_of_finite_differences() -> None:
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    weight, bias = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)

    def normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return Normalise.apply(x, weight, bias, 2, 1e-5)

    assert torch.autograd.gradcheck(normalised, (x, weight, bias))
    assert torch.autograd.gradgradcheck(normalised, (x, weight, bias))


@pytest.mark.parametrize("offset", [0.0, 10.0, 100.0])
def test_a_mean_far_from_zero_costs_fewer_digits_than_torchs_kernel_loses(offset: float) -> None:
    x = (torch.randn(SHAPE) + offset).to(memory_format=torch.channels_last)
    exact = F.group_norm(x.double(), GROUPS)
    lost = (GroupNorm(GROUPS, SHAPE[1])(x) - exact).abs().max()
    assert lost < 1e-5 * (1 + offset**2)  # E[x^2] - E[x]^2 cancels as the square of the mean


def test_second_derivatives_where_the_weight_depends_on_the_image_or_is_frozen() -> None:
    """A gradient of a gradient counts each way once, and asks nothing of what does not learn."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)  # (B, N, C)
    bias = torch.zeros(1, 4, dtype=torch.float64)

    def penalty(normalise: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        weight = 1 + x.mean(1)  # (B, C)
        (slope,) = torch.autograd.grad(normalise(x, weight).square().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), x)[0]

    def plain(x: Tensor, weight: Tensor) -> Tensor:
        return F.group_norm(x.mT, 2, eps=1e-5).mT * weight[:, None] + bias[:, None]

    mine = penalty(lambda x, weight: Normalise.apply(x, weight, bias, 2, 1e-5))
    torch.testing.assert_close(mine, penalty(plain), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("small", [False, True])
def test_bfloat16_maps_are_normalised_in_float32(small: bool) -> None:
    """torch's own kernel rounds scale and shift as well; here the one rounding is that of the answer."""
    norm, x, scale, shift = case()
    low = (x[:1] if small else x).detach().bfloat16().requires_grad_()
    scale, shift = scale[: len(low)].bfloat16(), shift[: len(low)].bfloat16()
    ours = norm(low, scale, shift)
    theirs = norm_written_out(norm, low.float(), scale.float(), shift.float())
    assert ours.dtype == torch.bfloat16
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert bool(((ours.float() - theirs).abs() <= 2**-8 * theirs.abs() + 1e-4).all())
    weights = torch.randn(ours.shape).bfloat16()
    mine, wanted = (grad(y, low, w) for y, w in ((ours, weights), (theirs, weights.float())))
    assert (mine[0].float() - wanted[0].float()).abs().max() < 2**-7 * wanted[0].float().abs().max()


def test_group_norm_works_without_weights() -> None:
    norm, x, scale, shift = GroupNorm(GROUPS, SHAPE[1], affine=False), *case()[1:]
    theirs = F.group_norm(x.contiguous(), GROUPS) * (1 + scale) + shift
    assert torch.allclose(norm(x, scale, shift), theirs, atol=1e-5)


def attention_written_out(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    score = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        score = score.masked_fill(torch.ones(score.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    return score.softmax(-1) @ v


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("positions", [5, SHORT + 3])
def test_attention_is_its_formula_with_its_slopes(
    positions: int, dtype: torch.dtype, error: float, causal: bool
) -> None:
    exact = [torch.randn(2, 2, positions, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    low = [tensor.detach().to(dtype).requires_grad_() for tensor in exact]
    theirs, ours = attention_written_out(*exact, causal=causal), attention(*low, causal=causal)
    assert ours.dtype == dtype
    # Rounding: 24 and 8 bits of mantissa, of sums of numbers around 1.
    torch.testing.assert_close(ours.double(), theirs, rtol=2 * error, atol=2 * error)
    weights = torch.randn_like(theirs)
    slopes = zip(
        torch.autograd.grad(ours, low, weights.to(dtype)),
        torch.autograd.grad(theirs, exact, weights),
        strict=True,
    )
    for mine, wanted in slopes:
        assert (mine.double() - wanted).abs().max() < 2 * error * wanted.abs().max()


def test_short_sequences_in_bfloat16_keep_the_accuracy_of_float32_inside() -> None:
    """The one rounding is that of the answer: half a unit in the eighth bit."""
    q, k, v = (torch.randn(2, 2, 16, 8).bfloat16() for _ in range(3))
    theirs = attention_written_out(q.double(), k.double(), v.double(), causal=False)
    with torch.autocast("cpu", torch.bfloat16):
        ours = attention(q, k, v).double()
    assert bool(((ours - theirs).abs() <= 2**-8 * theirs.abs() + 1e-6).all())


def test_a_map_is_doubled_as_nearest_neighbours_and_a_convolution_do() -> None:
    x, conv = torch.randn(2, 3, 5, 7, requires_grad=True), torch.nn.Conv2d(3, 4, 3, padding=1)
    ours = conv_of_doubled(x, conv)
    theirs = conv(F.interpolate(x, size=(10, 14), mode="nearest"))
    assert torch.allclose(ours, theirs, atol=1e-6)  # float32, sums of 27 numbers of order 1
    wanted, weights = (x, conv.weight, conv.bias), torch.randn(2, 4, 10, 14)
    slopes = zip(grad(ours, wanted, weights), grad(theirs, wanted, weights), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in slopes)  # sums of 280 numbers


def test_under_autocast_a_doubled_map_is_bfloat16_and_its_bias_gets_the_whole_gradient() -> None:
    """The bias is added to the map in place, which must not widen it."""
    conv = torch.nn.Conv2d(3, 4, 3, padding=1)
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(2, 3, 5, 7)
    with torch.autocast("cpu", torch.bfloat16):
        ours = conv_of_doubled(x, conv)
    assert ours.dtype == torch.bfloat16
    theirs = conv(F.interpolate(x, scale_factor=2, mode="nearest"))
    assert (ours - theirs).abs().max() < 0.03  # sums of 27 products of numbers of order 1, of 8 bits each
    (slope,) = grad(ours.float().sum(), conv.bias)
    assert torch.equal(slope, torch.full((4,), 280.0))  # 2 images of 10 x 14 pixels: exact in bfloat16


@pytest.mark.parametrize("causal", [False, True])
def test_forward_slopes_of_attention_are_those_of_its_formula(causal: bool) -> None:
    q, k, v, *along = torch.randn(6, 2, 2, 5, 8, generator=torch.Generator().manual_seed(0)).double()

    def slopes(of: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        return torch.func.jvp(lambda *qkv: of(*qkv, causal=causal), (q, k, v), tuple(along))

    torch.testing.assert_close(slopes(attention), slopes(attention_written_out))


PUBLISHED = {
    "Ho et al. 2020": lambda: UNet(
        (3, 32, 32), width=128, multipliers=[1, 2, 2, 2], attention_side=16, patch=1
    ),
    "EDM": lambda: DDPMPlusPlus((3, 32, 32), width=128, multipliers=[2, 2, 2], attention_side=16),
    "DiT-S/2": lambda: DiT((3, 32, 32), width=384, blocks=1, heads=6),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
def test_attention_of_published_networks_meets_the_terms_of_the_flash_kernel(
    name: str, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bfloat16 by autocast, no mask, heads of a multiple of 8 numbers and at most 256, side by side."""
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    seen: list[int] = []

    def spied(q: Tensor, k: Tensor, v: Tensor, *, attn_mask: None, is_causal: bool) -> Tensor:
        assert attn_mask is None
        assert torch.is_autocast_enabled("cuda")
        assert [each.stride(3) for each in (q, k, v)] == [1, 1, 1]
        seen.append(q.shape[3])
        return torch.empty_like(q, dtype=torch.bfloat16)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spied)
    with reading(), CUDA:
        network = PUBLISHED[name]()
        BFloat16().apply([network], CUDA)
        network(torch.empty(2, 3, 32, 32).contiguous(memory_format=layout), torch.empty(2))
    assert seen
    assert all(size % 8 == 0 and size <= 256 for size in seen)
