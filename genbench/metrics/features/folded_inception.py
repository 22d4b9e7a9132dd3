"""The Inception network of 2015 arranged for speed: torch-fidelity's numbers in fewer operations."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

__all__ = ["FoldedInception", "resized"]

SIDE = 299  # pixels of the images that the network takes
AT_ONCE = 16  # images on a CPU: of fewer, torch computes convolutions of 1x1 by a slower kernel


class FoldedInception(nn.Module):
    """Images (B, C, H, W) uint8, C = 1 or 3 -> 2048 pooled features and 1008 logits without bias.

    They are those of torch-fidelity's network to 1e-5 of the largest, and the resize is equal bit for bit:
    batch norms are folded into the convolutions before them, convolutions of 1x1 over the same maps are one,
    and means over 3x3 are taken behind the convolution of 1x1 that follows them, of fewer channels, since
    the two commute. On a CPU maps lie channels_last, and few images pass at a time.
    network: torch-fidelity's; its weights are copied.
    Source: Szegedy et al. 2016, Figures 5 to 7; layers and their names: Obukhov et al. 2020 (torch-fidelity).
    """

    weight: Tensor

    def __init__(self, network: "FeatureExtractorInceptionV3") -> None:
        super().__init__()
        n = network
        self.large = chain([n.Conv2d_1a_3x3, n.Conv2d_2a_3x3, n.Conv2d_2b_3x3])
        self.small = chain([n.Conv2d_3b_1x1, n.Conv2d_4a_3x3])
        self.before = nn.Sequential(
            *(Square(block) for block in (n.Mixed_5b, n.Mixed_5c, n.Mixed_5d)),
            HalvedSquare(n.Mixed_6a),
            *(Long(block) for block in (n.Mixed_6b, n.Mixed_6c)),
        )
        self.spatial_block = Long(n.Mixed_6d)
        self.behind = nn.Sequential(
            Long(n.Mixed_6e), HalvedLong(n.Mixed_7a), Forked(n.Mixed_7b, mean3), Forked(n.Mixed_7c, largest3)
        )
        self.register_buffer("weight", n.fc.weight.detach().T.contiguous())  # (2048, 1008)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = []
        for part in in_parts(images):
            maps = self.behind(self.spatial_block(self.early(part)))  # (B, 2048, 8, 8)
            found.append(maps.mean((2, 3)))
        features = torch.cat(found)
        return features, features @ self.weight

    def spatial(self, images: Tensor) -> Tensor:
        """Compute the first branch of Mixed_6d behind its ReLU: images (B, C, H, W) uint8 -> (B, 192, 17,
        17); nothing behind it is computed.
        """
        blocks = (self.spatial_block(self.early(part)) for part in in_parts(images))
        return torch.cat([block[:, :192] for block in blocks])

    def early(self, images: Tensor) -> Tensor:
        """Compute the maps that enter Mixed_6d: images (B, C, H, W) uint8 -> (B, 768, 17, 17)."""
        x = resized(images).expand(-1, 3, -1, -1)  # grey is repeated, since the network takes colour alone
        on_cpu = x.device.type == "cpu"
        x = x.contiguous(memory_format=torch.channels_last if on_cpu else torch.contiguous_format)
        x = F.max_pool2d(self.large(x), 3, 2)  # (B, 64, 73, 73)
        return self.before(F.max_pool2d(self.small(x), 3, 2))  # from (B, 192, 35, 35)


def in_parts(images: Tensor) -> Sequence[Tensor]:
    """Split images (B, C, H, W) into parts that pass the network at a time: one on a GPU; on a CPU such of
    at least 16 images, as far as there are so many, whose maps take little memory.
    """
    return images.tensor_split(max(1, len(images) // AT_ONCE) if images.device.type == "cpu" else 1)


def resized(images: Tensor) -> Tensor:
    """Scale images (B, C, H, W) uint8 as TensorFlow 1 did: (B, C, 299, 299) in [-1, 1), channels_last.

    Bilinear between pixels floor(i s) and floor(i s) + 1, s = H / 299 or W / 299, without half a pixel's
    shift; then (x - 128) / 128. Rows are scaled before they are repeated, which gives torch-fidelity's
    numbers bit for bit.
    Source: TensorFlow 1, resize_bilinear with align_corners=False.
    """
    x = images.permute(0, 2, 3, 1).float()  # (B, H, W, C)
    low, high, share = neighbours(x.shape[2], x.device)
    left = x[:, :, low]
    x = left + (x[:, :, high] - left) * share[:, None]  # (B, H, 299, C)
    low, high, share = neighbours(x.shape[1], x.device)
    top = x[:, low]
    x = x[:, high].sub_(top).mul_(share[:, None, None]).add_(top)  # (B, 299, 299, C)
    return x.sub_(128).mul_(1 / 128).permute(0, 3, 1, 2)


def neighbours(n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Compute for each of 299 pixels of a side the two of n that it lies between, (299,) int64 each, and its
    distance from the first, (299,) float32.
    """
    place = torch.arange(SIDE, dtype=torch.float32, device=device) * torch.tensor(n / SIDE, device=device)
    low = place.long()
    return low, (low + 1).clamp_max(n - 1), place - low


class FoldedConv(nn.Module):
    """relu(conv(x)) for convolutions over the same maps side by side, (B, I, h, w) -> (B, sum of O, h', w'),
    each with the batch norm behind it folded in, in float64:

    gamma (w * x - mean) / sqrt(var + eps) + beta = (s w) * x + beta - s mean, s = gamma / sqrt(var + eps)
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layers: "Sequence[BasicConv2d]") -> None:
        super().__init__()
        self.stride, self.padding = layers[0].conv.stride, layers[0].conv.padding
        weights, biases = zip(*(folded(layer) for layer in layers), strict=True)
        self.sizes = [len(bias) for bias in biases]
        self.register_buffer("weight", torch.cat(weights))
        self.register_buffer("bias", torch.cat(biases))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).relu_()

    def linear(self, x: Tensor) -> Tensor:
        """Compute the convolutions without the ReLU."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def apart(self, x: Tensor) -> Sequence[Tensor]:
        """Compute the convolutions without the ReLU, each one's channels apart."""
        return self.linear(x).split(self.sizes, dim=1)


def folded(layer: "BasicConv2d") -> tuple[Tensor, Tensor]:
    """Fold the batch norm of a layer into its convolution: weight (O, I, k, l) and bias (O,), float32."""
    norm = layer.bn
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = layer.conv.weight.detach().double() * scale[:, None, None, None]
    return weight.float(), (norm.bias.detach().double() - norm.running_mean.double() * scale).float()


def chain(layers: "Sequence[BasicConv2d]") -> nn.Sequential:
    """Fold layers that stand one behind the other, each with its ReLU."""
    return nn.Sequential(*(FoldedConv([layer]) for layer in layers))


def mean3(x: Tensor) -> Tensor:
    """Average over 3x3 pixels, of those inside the map: (B, C, h, w) -> the same shape."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def largest3(x: Tensor) -> Tensor:
    """Take the largest of 3x3 pixels: (B, C, h, w) -> the same shape."""
    return F.max_pool2d(x, 3, stride=1, padding=1)


def joined(branches: list[Tensor]) -> Tensor:
    """Put the channels of branches side by side, behind a ReLU, which changes nothing where there was one."""
    return torch.cat(branches, dim=1).relu_()


class Square(nn.Module):
    """The blocks of 35x35 pixels: branches of 1x1, 5x5 and two times 3x3, and one of the mean."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        b = block
        self.heads = FoldedConv([b.branch1x1, b.branch5x5_1, b.branch3x3dbl_1, b.branch_pool])
        self.five, self.three = chain([b.branch5x5_2]), chain([b.branch3x3dbl_2, b.branch3x3dbl_3])

    def forward(self, x: Tensor) -> Tensor:
        one, five, three, pooled = self.heads.apart(x)
        return joined([one, self.five(five.relu()), self.three(three.relu()), mean3(pooled)])


class HalvedSquare(nn.Module):
    """The block from 35x35 to 17x17 pixels: branches of 3x3 and of two times 3x3, and the largest."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        b = block
        self.three = chain([b.branch3x3])
        self.twice = chain([b.branch3x3dbl_1, b.branch3x3dbl_2, b.branch3x3dbl_3])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.three(x), self.twice(x), F.max_pool2d(x, 3, 2)], dim=1)


class Long(nn.Module):
    """The blocks of 17x17 pixels: branches of 1x1, of 7x7 in two strips, of two times that, and one of the
    mean.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        b = block
        self.heads = FoldedConv([b.branch1x1, b.branch7x7_1, b.branch7x7dbl_1, b.branch_pool])
        self.seven = chain([b.branch7x7_2, b.branch7x7_3])
        self.twice = chain([b.branch7x7dbl_2, b.branch7x7dbl_3, b.branch7x7dbl_4, b.branch7x7dbl_5])

    def forward(self, x: Tensor) -> Tensor:
        one, seven, twice, pooled = self.heads.apart(x)
        return joined([one, self.seven(seven.relu()), self.twice(twice.relu()), mean3(pooled)])


class HalvedLong(nn.Module):
    """The block from 17x17 to 8x8 pixels: branches of 3x3 and of strips of 7, and the largest."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        b = block
        self.heads = FoldedConv([b.branch3x3_1, b.branch7x7x3_1])
        self.three = chain([b.branch3x3_2])
        self.seven = chain([b.branch7x7x3_2, b.branch7x7x3_3, b.branch7x7x3_4])

    def forward(self, x: Tensor) -> Tensor:
        three, seven = self.heads.apart(x)
        halved = F.max_pool2d(x, 3, 2)
        return torch.cat([self.three(three.relu()), self.seven(seven.relu()), halved], dim=1)


class Forked(nn.Module):
    """The blocks of 8x8 pixels: branches of 1x1 and of 3x3, which fork into strips of 3, and one of pooled
    maps.

    pool: `mean3`, which is taken behind its convolution, or `largest3`, which does not commute with it.
    """

    def __init__(self, block: nn.Module, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        b = block
        self.pool, self.commutes = pool, pool is mean3
        heads = [b.branch1x1, b.branch3x3_1, b.branch3x3dbl_1]
        self.heads = FoldedConv([*heads, b.branch_pool] if self.commutes else heads)
        self.last = None if self.commutes else FoldedConv([b.branch_pool])
        self.three = nn.ModuleList(FoldedConv([layer]) for layer in (b.branch3x3_2a, b.branch3x3_2b))
        self.twice = FoldedConv([b.branch3x3dbl_2])
        self.behind = nn.ModuleList(FoldedConv([layer]) for layer in (b.branch3x3dbl_3a, b.branch3x3dbl_3b))

    def forward(self, x: Tensor) -> Tensor:
        one, three, twice, *pooled = self.heads.apart(x)
        three, twice = three.relu(), self.twice(twice.relu())
        strips = [strip(three) for strip in self.three] + [strip(twice) for strip in self.behind]
        last = self.pool(pooled[0]) if self.last is None else self.last(self.pool(x))
        return joined([one, *strips, last])
