"""The networks of coupling layers: one part of an image in, the parameters that move the other part out."""

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.flows.network import CouplingNets
from genbench.nn.blocks import group_norm, label_embedding, with_label, zero
from genbench.probability.counts import MOST_LAYERS, check_count
from genbench.runtime import global_batch

__all__ = ["ConvNet", "ConvNets", "ResNet", "ResNets"]


class ConvNets(CouplingNets):
    """Makes networks of three convolutions, the middle one 1x1: (B, inputs, H, W) -> (B, outputs, H, W).

    Settings: see CouplingNets. Source: Kingma & Dhariwal 2018, Section 5 (there width 512).
    """

    def build(self, inputs: int, outputs: int) -> nn.Module:
        return ConvNet(
            inputs, outputs, self.num_classes, width=self.width, kernel=self.kernel, dropout=self.dropout
        )


class ResNets(CouplingNets):
    """Makes residual networks of `blocks` blocks: (B, inputs, H, W) -> (B, outputs, H, W).

    Other settings: see CouplingNets. Raises ValueError on fewer blocks than one.
    Source: Dinh et al. 2017, Section 4.1.
    """

    def __init__(
        self, num_classes: int = 0, *, width: int = 64, blocks: int = 2, kernel: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__(num_classes, width=width, kernel=kernel, dropout=dropout)
        check_count("network.blocks", blocks, MOST_LAYERS, usual=2)
        self.blocks = blocks

    def build(self, inputs: int, outputs: int) -> nn.Module:
        return ResNet(
            inputs,
            outputs,
            self.num_classes,
            width=self.width,
            blocks=self.blocks,
            kernel=self.kernel,
            dropout=self.dropout,
        )


class ConvNet(nn.Module):
    """conv(relu(conv1x1(relu(conv(x) + label)))), the last convolution 0 at first.

    x (B, inputs, H, W), y (B,) int64 where num_classes > 0 -> (B, outputs, H, W).
    Apart from the source, no ActNorm stands between the convolutions.
    Source: Kingma & Dhariwal 2018, Section 5.
    """

    def __init__(
        self, inputs: int, outputs: int, num_classes: int, *, width: int, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.label = label_embedding(num_classes, width)
        self.enter = same_size(inputs, width, kernel)
        self.middle = nn.Conv2d(width, width, 1)
        self.dropout = global_batch.Dropout(dropout)
        self.leave = zero(same_size(width, outputs, kernel))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = F.relu_(with_label(self.enter(x), self.label, y))  # (B, width, H, W)
        return self.leave(self.dropout(F.relu_(self.middle(h))))  # (B, outputs, H, W)


class ResNet(nn.Module):
    """A convolution, residual blocks, and a convolution that is 0 at first; labels are added after the first.

    x (B, inputs, H, W), y (B,) int64 where num_classes > 0 -> (B, outputs, H, W).
    Source: Dinh et al. 2017, Section 4.1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        num_classes: int,
        *,
        width: int,
        blocks: int,
        kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.label = label_embedding(num_classes, width)
        self.enter = same_size(inputs, width, kernel)
        self.blocks = nn.Sequential(*(Bottleneck(width, kernel, dropout) for _ in range(blocks)))
        self.norm = group_norm(width)
        self.leave = zero(same_size(width, outputs, kernel))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.blocks(with_label(self.enter(x), self.label, y))  # (B, width, H, W)
        return self.leave(F.silu(self.norm(h)))  # (B, outputs, H, W)


class Bottleneck(nn.Module):
    """x + conv1x1(silu(norm(conv(silu(norm(x)))))), (B, width, H, W) -> (B, width, H, W)."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = group_norm(width)
        self.conv1 = same_size(width, width, kernel)
        self.norm2 = group_norm(width)
        self.dropout = global_batch.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(self.dropout(F.silu(self.norm2(h))))


def same_size(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A convolution whose padding keeps the size of the map: (B, inputs, H, W) -> (B, outputs, H, W)."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
