"""Group normalisation that keeps its speed on a CPU, on channels_last maps and in bfloat16."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GroupNorm"]

SMALLEST = 2**17  # numbers of a batch; up to here one call of torch's kernel beats many calls of ours


class GroupNorm(nn.GroupNorm):
    """(1 + scale) * (weight * (x - mean) / sqrt(var + eps) + bias) + shift, statistics of an image's group.

    bfloat16 maps on a CPU are normalised in float32: torch 2.15's bfloat16 kernel takes 4 to 6 times as long
    (one core with AMX, maps of 4x4 to 28x28, forward and backward).
    Source: Wu & He 2018, Eq. 1 and 7; scale and shift: Perez et al. 2018 (FiLM), Eq. 2.
    """

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), scale and shift (B, C, 1, 1) or None -> (B, C, H, W)."""
        if x.device.type == "cpu" and x.dtype == torch.bfloat16:
            wide = (None if each is None else each.float() for each in (scale, shift))
            return self.forward(x.float(), *wide).to(x.dtype)
        if self.slow_in_torch(x):
            weight, bias = self.weight[None], self.bias[None]
            if scale is not None and shift is not None:
                factor = 1 + scale.flatten(1)
                weight, bias = weight * factor, bias * factor + shift.flatten(1)
            pixels = x.permute(0, 2, 3, 1)  # (B, H, W, C), as they lie in memory
            y = Normalise.apply(pixels.flatten(1, 2), weight, bias, self.num_groups, self.eps)
            return y.reshape(pixels.shape).permute(0, 3, 1, 2)
        h = super().forward(x)
        return h if scale is None or shift is None else h * (1 + scale) + shift

    def slow_in_torch(self, x: Tensor) -> bool:
        """Whether torch 2.15 takes 4 times as long as on contiguous maps (a U-Net's step 1.1 times)."""
        return (
            self.affine
            and x.numel() > SMALLEST
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and x.is_contiguous(memory_format=torch.channels_last)
            and not torch.compiler.is_compiling()  # which fuses torch's own formula better
        )


class Normalise(torch.autograd.Function):
    """y = weight * xhat + bias, xhat = (x - mean) / sqrt(var + eps), var = E[x^2] - mean^2 of a group.

    x (B, N, C), weight and bias (B or 1, C).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:  # noqa: ANN401
        n = x.shape[1] * x.shape[2] // groups
        mean = by_group(x.sum(1), groups).sum(2, keepdim=True) / n  # (B, G, 1)
        square = by_group(x.square().sum(1), groups).sum(2, keepdim=True) / n
        rstd = ((square - mean.square()).clamp(min=0) + eps).rsqrt()
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.groups, ctx.eps = groups, eps
        factor = rstd * by_group(weight, groups)
        return affine(x, factor, by_group(bias, groups) - mean * factor)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """With g = slope * weight: rstd * (g - E[g] - xhat E[g xhat]), means over a group."""
        x, weight, bias, mean, rstd = ctx.saved_tensors  # mean and rstd (B, G, 1)
        if torch.is_grad_enabled():  # for a second derivative, which what follows does not have
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
        of_xhat = rstd * (of_weight * factor).sum(2, keepdim=True) / -n
        constant = (of_bias * factor).sum(2, keepdim=True) / -n - of_xhat * mean
        of_x = affine(x, of_xhat.expand_as(factor), constant.expand_as(factor))
        of_x.addcmul_(slope, factor.flatten(1)[:, None])
        parameters = (of.flatten(1).sum_to_size(weight.shape) for of in (of_weight, of_bias))
        return of_x, *parameters, None, None


def by_group(values: Tensor, groups: int) -> Tensor:
    """(B, C) -> (B, G, C / G)."""
    return values.unflatten(1, (groups, -1))


def affine(x: Tensor, factor: Tensor, constant: Tensor) -> Tensor:
    """factor * x + constant for x (B, N, C), factor and constant (B, G, C / G)."""
    return torch.addcmul(constant.flatten(1)[:, None], x, factor.flatten(1)[:, None])
