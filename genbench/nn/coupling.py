"""The networks of coupling layers: a part of an image in, the parameters that move the other part out."""

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.flows.network import CouplingNets
from genbench.nn.norm import GroupNorm
from genbench.nn.unet import groups, zero
from genbench.runtime import global_batch

__all__ = ["ConvNet", "ConvNets", "ResNet", "ResNets"]


class ConvNets(CouplingNets):
    """Three convolutions, the one in the middle 1x1.

    Source: Kingma & Dhariwal 2018, Section 5 (there width 512).
    """

    def build(self, inputs: int, outputs: int) -> nn.Module:
        return ConvNet(
            inputs, outputs, self.num_classes, width=self.width, kernel=self.kernel, dropout=self.dropout
        )


class ResNets(CouplingNets):
    """Residual networks of some blocks. Source: Dinh et al. 2017, Section 4.1."""

    def __init__(
        self, num_classes: int = 0, *, width: int = 64, blocks: int = 2, kernel: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__(num_classes, width=width, kernel=kernel, dropout=dropout)
        if blocks < 1:
            raise ValueError(f"network.blocks is {blocks}; it must be at least 1")
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
    """conv(relu(conv1x1(relu(conv(x) + class)))), the last convolution 0 at first.

    Apart from the source, no ActNorm stands between the convolutions.
    """

    def __init__(
        self, inputs: int, outputs: int, num_classes: int, *, width: int, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.label = nn.Embedding(num_classes, width) if num_classes else None
        self.enter = same_size(inputs, width, kernel)
        self.middle = nn.Conv2d(width, width, 1)
        self.dropout = global_batch.Dropout(dropout)
        self.leave = zero(same_size(width, outputs, kernel))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = F.relu_(with_class(self.enter(x), self.label, y))  # (B, width, H, W)
        return self.leave(self.dropout(F.relu_(self.middle(h))))


class ResNet(nn.Module):
    """A convolution, residual blocks, and a convolution that is 0 at first."""

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
        self.label = nn.Embedding(num_classes, width) if num_classes else None
        self.enter = same_size(inputs, width, kernel)
        self.blocks = nn.Sequential(*(Block(width, kernel, dropout) for _ in range(blocks)))
        self.norm = GroupNorm(groups(width), width)
        self.leave = zero(same_size(width, outputs, kernel))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.blocks(with_class(self.enter(x), self.label, y))  # (B, width, H, W)
        return self.leave(F.silu(self.norm(h)))


class Block(nn.Module):
    """x + conv1x1(act(norm(conv(act(norm(x))))))."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups(width), width)
        self.conv1 = same_size(width, width, kernel)
        self.norm2 = GroupNorm(groups(width), width)
        self.dropout = global_batch.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(self.dropout(F.silu(self.norm2(h))))


def with_class(h: Tensor, label: nn.Embedding | None, y: Tensor | None) -> Tensor:
    """h (B, width, H, W) plus the embedding of its class, where there are classes."""
    return h if label is None else h + label(y)[:, :, None, None]


def same_size(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A convolution that leaves the size of a map as it is."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
