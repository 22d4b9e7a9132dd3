"""The transformer denoiser of diffusion models: images and times in, an answer of the same size out."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.conditioning import ConditionedNetwork
from genbench.nn.fast import attention
from genbench.nn.rotary import grid, position_vectors, rotate, rotations
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning, Encoded, Encoding

__all__ = ["DiT"]

FREQUENCIES = 256  # sines and cosines of the time, whatever the width
EPS = 1e-6  # of all norms


class DiT(ConditionedNetwork):
    """A transformer over the patches of an image, conditioned by time and by label or text (adaLN-zero).

    shape: (C, H, W) of the images. patch: P, side of the squares of pixels that are a token each; it divides
    H and W. width, blocks, heads: of the transformer; each head has width / heads channels, a multiple of 4.
    num_classes, answers, inputs, context, times: as in genbench.nn.unet.UNet; each block attends
    to the tokens of a text, and its pooled vector is added to the embedding of the time.
    The answer is 0 and each block the identity at first. torch.func.jvp goes through it, in xt and the times:
    attention then takes torch's kernel of plain products (see genbench.nn.fast). Raises ValueError on sizes
    that no network can have.
    Source: Peebles & Xie 2023 (DiT), Section 3.2; with flow matching it is SiT (Ma et al. 2024). Apart from
    them: RMS norms in the place of layer norms, norms of queries and keys (Dehghani et al. 2023, Section 2),
    rotary positions beside the fixed ones; attention to text as in Chen et al. 2024 (PixArt), Section 2.3.
    """

    rotation: Tensor
    position: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 64,
        blocks: int = 5,
        heads: int = 4,
        patch: int = 2,
        dropout: float = 0.0,
        answers: int = 1,
        inputs: int = 1,
        context: int = 0,
        times: int = 1,
    ) -> None:
        super().__init__()
        channels, height, side = shape
        check_patch(patch, height, side)
        check_count("network.width", width, MOST_CHANNELS, usual=64)
        check_count("network.blocks", blocks, MOST_LAYERS, usual=5)
        check_heads(heads, width)
        check_count("network.answers", answers, MOST_CHANNELS // channels, usual=1)
        check_count("network.inputs", inputs, MOST_CHANNELS // channels, usual=1)
        self.patch = patch
        self.make_embeddings(
            FREQUENCIES, width, num_classes=num_classes, inputs=inputs, context=context, times=times
        )
        self.enter = nn.Linear(inputs * channels * patch**2, width)
        self.blocks = nn.ModuleList(DiTBlock(width, heads, dropout, context) for _ in range(blocks))
        self.modulation, self.norm = Zero(width, 2 * width), norm(width)
        self.leave = Zero(width, answers * channels * patch**2)
        places = grid(height // patch, side // patch)
        self.register_buffer("position", position_vectors(places, width), persistent=False)
        self.register_buffer("rotation", rotations(places, width // heads), persistent=False)
        self.apply(initialise)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        y: Conditioning = None,
        level: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """x (B, inputs * C, H, W), t (B,) in [0, 1], y (B,) int64, B texts or None -> (B, answers * C, H, W).

        Of two times of each image t is (B, 2).
        level: the noise in [0, 1] of the image beside xt, (B,); None where there is no such image.
        label: what was done to each image in training, (B, 9); None is 0, nothing.
        """
        condition = self.condition(t, y, level, label)  # (B, width)
        text = y.own if isinstance(y, Encoded) else None
        h = self.enter(to_patches(x, self.patch)) + self.position  # (B, N, width)
        for block in self.blocks:
            h = block(h, condition, self.rotation, text)
        shift, scale = self.modulation(condition)[:, None].chunk(2, dim=2)
        return to_map(self.leave(modulate(self.norm(h), shift, scale)), self.patch, x.shape[2:])


class DiTBlock(nn.Module):
    """x + gate attention(norm(x)), then x + attention to the text, then x + gate mlp(norm(x)).

    Scale and shift of the norms, and the gates, are linear in the condition. x (B, N, width), condition
    (B, width), rotation (2, N, D / 2), text of B rows or None -> (B, N, width). The identity at first, since
    what gates are made of is 0.
    Source: Peebles & Xie 2023, Section 3.2 (adaLN-zero).
    """

    def __init__(self, width: int, heads: int, dropout: float, context: int) -> None:
        super().__init__()
        self.modulation = Zero(width, 6 * width)
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attention = Attention(width, heads)
        self.text = TextAttention(width, heads, context) if context else None
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.dropout = global_batch.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor, rotation: Tensor, text: Encoding | None) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(6, dim=2)
        h = self.attention(modulate(self.norm1(x), shift1, scale1), rotation)  # (B, N, width)
        x = x + gate1 * self.dropout(h)
        if self.text is not None and text is not None:
            x = x + self.text(x, text)
        h = self.mlp(modulate(self.norm2(x), shift2, scale2))  # (B, N, width)
        return x + gate2 * self.dropout(h)


class Attention(nn.Module):
    """Multi-head self-attention over patches whose queries and keys are normed, then rotated by their places.

    x (B, N, width), rotation (2, N, D / 2) -> (B, N, width), D = width / heads.
    The norm bounds a logit by sqrt(D) times the largest weights of both norms, however large x is.
    Source: norms: Dehghani et al. 2023, Section 2; rotation: see genbench.nn.rotary.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm_q, self.norm_k = HeadNorm(width // heads), HeadNorm(width // heads)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        q, k, v = self.split(x, rotation)
        return self.out(attention(q, k, v).transpose(1, 2).flatten(2))

    def split(self, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as the product takes them: (B, heads, N, D) each."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(self.norm_q(q), rotation), rotate(self.norm_k(k), rotation)
        return q.to(v.dtype), k.to(v.dtype), v


class TextAttention(nn.Module):
    """Multi-head attention from patches to the tokens of a text, padding left out; 0 at first.

    x (B, N, width), text of B rows with hidden (B, L, context) -> (B, N, width).
    Source: Chen et al. 2024 (PixArt), Section 2.3, here with norms of x, of queries and of keys.
    """

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, norm(width)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(context, 2 * width), Zero(width, width)
        self.norm_q, self.norm_k = HeadNorm(width // heads), HeadNorm(width // heads)

    def forward(self, x: Tensor, text: Encoding) -> Tensor:
        q = self.q(self.norm(x)).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, D)
        k, v = self.kv(text.hidden).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.norm_q(q).to(v.dtype), self.norm_k(k).to(v.dtype)  # k, v (B, heads, L, D)
        h = attention(q, k, v, mask=text.mask[:, None, None])
        return self.out(h.transpose(1, 2).flatten(2))


class HeadNorm(nn.RMSNorm):
    """The norm of queries or keys (B, heads, N, D) with a weight for each channel, in the precision of its
    weights: what the networks' precision rounds, the norm would round again.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class Zero(nn.Linear):
    """A linear layer whose weights and bias are 0 at first: (.., inputs) -> (.., outputs)."""

    def reset_parameters(self) -> None:
        """Set weights and bias to 0, in the place of torch's random ones."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def norm(width: int) -> nn.RMSNorm:
    """x / sqrt(mean(x^2) + eps) over the last axis, without weights, which the condition gives.

    Source: Zhang & Sennrich 2019, Eq. 4.
    """
    return nn.RMSNorm(width, eps=EPS, elementwise_affine=False)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """(1 + scale) x + shift: x (B, N, width), shift and scale (B, 1, width) -> as x."""
    return x * (1 + scale) + shift


def to_patches(x: Tensor, patch: int) -> Tensor:
    """Images (B, C, H, W) as a sequence of patches, row after row: (B, N, C * patch^2)."""
    return F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2)


def to_map(patches: Tensor, patch: int, size: Sequence[int]) -> Tensor:
    """The images (B, C, H, W) of patches (B, N, C * patch^2), as `to_patches` reads them; size: H, W."""
    height, width = size
    folded = patches.transpose(1, 2).unflatten(2, (height // patch, width // patch))
    return F.pixel_shuffle(folded, patch)


def initialise(module: nn.Module) -> None:
    """Draw a linear layer's weights uniformly by Glorot & Bengio 2010, those of labels from N(0, 0.02^2);
    biases, and layers that are meant to be 0 at first, are 0.

    Source: Peebles & Xie 2023, Section 4.
    """
    if isinstance(module, nn.Linear) and not isinstance(module, Zero):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


def check_patch(patch: int, height: int, width: int) -> None:
    """Raise ValueError unless squares of `patch` pixels fill the image, with those that do."""
    if patch < 1 or height % patch or width % patch:
        legal = [p for p in range(1, min(height, width) + 1) if not (height % p or width % p)]
        raise ValueError(
            f"network.patch is {patch}; it must divide the sides of {height}x{width} images: choose from "
            f"{', '.join(map(str, legal))}"
        )


def check_heads(heads: int, width: int) -> None:
    """Raise ValueError unless heads divide the width into channels of which rows and columns take pairs, as
    many each; with the numbers of heads that do.
    """
    legal = [h for h in range(1, width + 1) if width % h == 0 and width // h % 4 == 0]
    if not legal:
        raise ValueError(f"network.width is {width}; it must be a multiple of 4, e.g. 64")
    if heads not in legal:
        raise ValueError(
            f"network.heads is {heads}; it must divide network.width={width} into heads of a multiple of 4 "
            f"channels, two pairs for rotary positions: choose from {', '.join(map(str, legal))}"
        )
