"""The vision transformer of DINOv2, with the names that its published weights have."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["VisionTransformer"]

PATCH = 14
POSITIONS = 37  # patches a side of the images that it was trained on last, 518 pixels
HEAD = 64  # features a head, in all published sizes
OFFSET = 0.1  # of patches: how the published network scales its positions


class VisionTransformer(nn.Module):
    """x (B, 3, H, W), H and W multiples of 14, normalised as ImageNet -> the class token, (B, width).

    A square of learned positions is resized to the patches there are.
    Source: Dosovitskiy et al. 2021; Oquab et al. 2024.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, POSITIONS**2 + 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # of its training; it stands in the file
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](x)  # (B, width, H / 14, W / 14)
        rows, columns = patches.shape[2:]
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).mT], dim=1)
        h = tokens + self.positions(rows, columns)
        for block in self.blocks:
            h = block(h)
        return self.norm(h[:, 0])

    def positions(self, rows: int, columns: int) -> Tensor:
        """Resize the learned positions to rows x columns patches by bicubic interpolation, after that of the
        class token: (1, 1 + rows columns, width).
        """
        if rows == columns == POSITIONS:  # the published network does not resize these either
            return self.pos_embed
        first, others = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        square = others.mT.unflatten(2, (POSITIONS, POSITIONS))
        scale = ((rows + OFFSET) / POSITIONS, (columns + OFFSET) / POSITIONS)
        resized = F.interpolate(square, scale_factor=scale, mode="bicubic")
        return torch.cat([first, resized.flatten(2).mT], dim=1)


class Block(nn.Module):
    """Transformer block: h + s1 attention(norm(h)), then h + s2 mlp(norm(h)); h (B, N, width), and s1, s2
    learned scales, one for each feature.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": torch.ones(width)}) for _ in range(2))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.ls1["gamma"] * self.attention(self.norm1(h))
        return h + self.ls2["gamma"] * self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(h))))

    def attention(self, h: Tensor) -> Tensor:
        """Multi-head attention of all tokens to all tokens, (B, N, width) -> the same shape, in heads of 64
        features; without a mask and without dropout.
        """
        q, k, v = self.attn["qkv"](h).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)  # (B, heads, N, 64)
        return self.attn["proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
