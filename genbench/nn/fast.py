"""Layers written by hand where torch's own are slow on a CPU; `python -m benchmarks.fast` times each.

Every one computes what torch's own formula computes, up to rounding, and hands the work to torch wherever
torch is fast. Times in the docstrings are of torch 2.15.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["GroupNorm", "attention", "conv_of_doubled"]

SHORT = 256  # positions; below, the CPU's float32 attention beats its bfloat16 one, backward pass included
MANY = 2**17  # numbers of a batch; above, `Normalise` beats one call of torch's group norm


def attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(D)) v over positions: q (B, heads, N, D), k and v (B, heads, M, D) -> as q.

    causal: position i sees positions 0 .. i alone. mask (B, 1, 1, M) bool: the positions that are seen at
    all, at least one in each row; None is all. The answer has the dtype of q.
    Short sequences in bfloat16 on a CPU are computed in float32: the backward pass of torch's bfloat16 kernel
    takes 23 ms where the float32 one takes 1 to 3 ms (64 images, 16 to 49 positions, one core with AMX); from
    256 positions on it is as fast. Under forward-mode differentiation (torch.func.jvp), for which torch's
    fused kernels have no formula, its kernel of plain products is taken. On a GPU the numbers of a head are
    laid side by side, without which torch passes over its flash kernel.
    Source: Vaswani et al. 2017, Eq. 1.
    """
    if any(unpack_dual(each).tangent is not None for each in (q, k, v)):
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[2] < SHORT:
        with torch.autocast("cpu", enabled=False):
            wide = (q.float(), k.float(), v.float())
            return F.scaled_dot_product_attention(*wide, attn_mask=mask, is_causal=causal).to(q.dtype)
    if q.is_cuda:
        q, k, v = (each if each.stride(3) == 1 else each.contiguous() for each in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def conv_of_doubled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """conv(x doubled by nearest neighbours) for a 3x3 convolution: (B, I, h, w) -> (B, O, 2 h, 2 w).

    A transposed convolution does it in 4 products a pixel instead of 9: a training step of Fashion-MNIST's
    VAE takes 0.88 of the time.
    On each axis y_o = sum_k w_k x_[(o + k - 1) / 2] = sum_i x_i w'_(o + 1 - 2 i), w'_m = w_(2-m) + w_(3-m),
    at stride 2 and padding 1; on both axes (O, I, 3, 3) -> (I, O, 4, 4).
    The bias is added afterwards: the gradient that a transposed convolution computes of its own bias takes
    longer than that of its weights (19 ms of 47 in bfloat16, 8 of 62 in float32; 64 maps of 64 channels, to
    28x28), where a sum takes 0.1 ms.
    """
    # 1 where m = 2 - k or 3 - k, made on the device: to copy a list to a GPU waits for it.
    sums = torch.arange(3, device=x.device)[:, None] + torch.arange(4, device=x.device)  # (k, m)
    axis = ((sums == 2) | (sums == 3)).to(conv.weight)
    weight = (conv.weight.transpose(0, 1).flatten(2) @ torch.kron(axis, axis)).unflatten(2, (4, 4))
    y = F.conv_transpose2d(x, weight, stride=2, padding=1)
    return y if conv.bias is None else y.add_(conv.bias[:, None, None])  # in place: y keeps its dtype


class GroupNorm(nn.GroupNorm):
    """(1 + scale) * (weight * (x - mean) / sqrt(var + eps) + bias) + shift, statistics of an image's group.

    On a CPU, large float32 maps in channels_last memory go through `Normalise`, since torch takes about 4
    times as long on them as on contiguous ones. bfloat16 maps are normalised in float32: torch's bfloat16
    kernel takes longer, by a factor of 2 to 6 with the machine (`python -m benchmarks.fast` measures it).
    Source: Wu & He 2018, Eq. 1 and 7; scale and shift: Perez et al. 2018 (FiLM), Eq. 2.
    """

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), scale and shift (B, C, 1, 1) or None -> (B, C, H, W)."""
        if x.device.type == "cpu" and x.dtype == torch.bfloat16:
            wide = (None if each is None else each.float() for each in (scale, shift))
            return self.forward(x.float(), *wide).to(x.dtype)
        if self.slow_in_torch(x):
            weight, bias = self.weight[None], self.bias[None]  # (1, C)
            if scale is not None and shift is not None:
                factor = 1 + scale.flatten(1)  # (B, C)
                weight, bias = weight * factor, bias * factor + shift.flatten(1)
            pixels = x.permute(0, 2, 3, 1)  # (B, H, W, C), as they lie in memory
            y = Normalise.apply(pixels.flatten(1, 2), weight, bias, self.num_groups, self.eps)
            return y.reshape(pixels.shape).permute(0, 3, 1, 2)  # (B, C, H, W)
        h = super().forward(x)
        return h if scale is None or shift is None else h * (1 + scale) + shift

    def slow_in_torch(self, x: Tensor) -> bool:
        """True where torch's kernel takes 4 times as long as on contiguous maps; x (B, C, H, W)."""
        return (
            self.affine
            and x.numel() > MANY
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and x.is_contiguous(memory_format=torch.channels_last)
            and not torch.compiler.is_compiling()  # which fuses torch's own formula better
            and unpack_dual(x).tangent is None  # `Normalise` has no forward derivative
        )


class Normalise(torch.autograd.Function):
    """y = weight * xhat + bias, xhat = (x - mean) / sqrt(var + eps), var = E[x^2] - mean^2 of a group.

    x (B, N, C) with N pixels, weight and bias (B or 1, C). Gradients of gradients are torch's own.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:  # noqa: ANN401
        n = x.shape[1] * x.shape[2] // groups
        mean = by_group(x.sum(1), groups).sum(2, keepdim=True) / n  # (B, G, 1)
        square = by_group(x.square().sum(1), groups).sum(2, keepdim=True) / n  # (B, G, 1)
        rstd = ((square - mean.square()).clamp(min=0) + eps).rsqrt()
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.groups, ctx.eps = groups, eps
        factor = rstd * by_group(weight, groups)  # (B, G, C / G)
        return affine(x, factor, by_group(bias, groups) - mean * factor)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """rstd * (g - E[g] - xhat E[g xhat]) for x, with g = slope * weight and means over a group."""
        x, weight, bias, mean, rstd = ctx.saved_tensors  # mean and rstd (B, G, 1)
        if torch.is_grad_enabled():  # for a second derivative, which the formulas below do not have
            # Of aliases, lest the gradient also runs through what weight and bias were made of.
            x, weight, bias = (tensor.view_as(tensor) for tensor in (x, weight, bias))
            y = F.group_norm(x.mT, ctx.groups, eps=ctx.eps).mT * weight[:, None] + bias[:, None]
            wanted = [tensor for tensor in (x, weight, bias) if tensor.requires_grad]
            found = iter(torch.autograd.grad(y, wanted, slope, create_graph=True))
            slopes = (next(found) if tensor.requires_grad else None for tensor in (x, weight, bias))
            return *slopes, None, None
        n = x.shape[1] * x.shape[2] // ctx.groups
        of_bias = by_group(slope.sum(1), ctx.groups)  # (B, G, C / G)
        of_weight = (by_group((slope * x).sum(1), ctx.groups) - mean * of_bias) * rstd
        factor = rstd * by_group(weight, ctx.groups)
        of_xhat = rstd * (of_weight * factor).sum(2, keepdim=True) / -n  # (B, G, 1)
        constant = (of_bias * factor).sum(2, keepdim=True) / -n - of_xhat * mean
        of_x = affine(x, of_xhat.expand_as(factor), constant.expand_as(factor))
        of_x.addcmul_(slope, factor.flatten(1)[:, None])
        parameters = (of.flatten(1).sum_to_size(weight.shape) for of in (of_weight, of_bias))
        return of_x, *parameters, None, None


def by_group(values: Tensor, groups: int) -> Tensor:
    """Numbers of channels sorted into groups: (B, C) -> (B, G, C / G)."""
    return values.unflatten(1, (groups, -1))


def affine(x: Tensor, factor: Tensor, constant: Tensor) -> Tensor:
    """factor * x + constant for x (B, N, C), factor and constant (B, G, C / G) -> (B, N, C)."""
    return torch.addcmul(constant.flatten(1)[:, None], x, factor.flatten(1)[:, None])
