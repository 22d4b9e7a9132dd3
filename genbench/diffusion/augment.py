"""Augmentation that does not leak into samples: the network is given what was done to each image."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.runtime import global_batch
from genbench.text.condition import Conditioning

__all__ = ["LABEL", "Augmented", "AugmentedNetwork", "NonLeaking", "give_labels"]

LABEL = 9
"""Numbers of the label: two flips, scale, two of the rotation, two of the stretch, two of the translation."""


class AugmentedNetwork(nn.Module):
    """A network of diffusion that may be given what was done to each image: `network(x, t, y, None, label)`.

    It adds `augment(label)` to a vector of label_width numbers, such as the sines and cosines of the time, so
    that label 0 and no label have the same answer: that for images to which nothing was done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.label_width = 0
        self.augment: nn.Linear | None = None

    def take_labels(self) -> None:
        """Make the linear map of labels, (B, 9) -> (B, label_width), which has no bias; without it labels are
        passed over. Made after the network, so that no other initial weight is another.
        """
        self.augment = nn.Linear(LABEL, self.label_width, bias=False)


class Augmented(nn.Module):
    """A network as a process calls it, (xt, t, y), given the label (B, 9) of the images of one batch."""

    def __init__(self, network: nn.Module, label: Tensor) -> None:
        super().__init__()
        self.network, self.label = network, label

    def forward(self, xt: Tensor, t: Tensor, y: Conditioning = None) -> Tensor:
        answer: Tensor = self.network(xt, t, y, None, self.label)
        return answer


class NonLeaking:
    """Flips, then x'(u) = x(G^-1 u), G = translation * stretch * rotation * scaling about the centre, each of
    the six for a share p of the images; the network is given a label of them, which is 0 in sampling.

    p: probability of each transformation. x_flip, y_flip: in the place of p, that of tossing a coin for the
    flip of columns, of rows; None is p.
    scale: by 2^(scale n). rotation: by an angle uniform in +-180 rotation degrees. stretch: by 2^(stretch n)
    along a line, horizontal or (with probability 1/2) of any direction r, and by the inverse across it.
    translation: n times this share of the width, and another n of the height. n ~ N(0, 1); 0 of any is none.
    label (B, 9): flips 0 or 1; n of the scale; cos - 1 and sin of the angle; n cos 2r and n sin 2r of the
    stretch; both n of the translation. All of a transformation follows from it, and 0 is the identity.
    Raises ValueError on numbers outside their range.
    Source: Karras et al. 2022, Appendix F.2; transformations of Karras et al. 2020, Appendix B. Apart from
    them: 2r in the place of r, since n at r and -n at r + 180 degrees have one label there, and are two
    stretches; bicubic interpolation in the place of filters of wavelets. Images are reflected beyond their
    borders, as there.
    """

    def __init__(
        self,
        *,
        p: float = 0.12,
        x_flip: float | None = None,
        y_flip: float | None = None,
        scale: float = 0.2,
        rotation: float = 1.0,
        stretch: float = 0.2,
        translation: float = 0.125,
    ) -> None:
        shares = {"p": p, "x_flip": x_flip, "y_flip": y_flip, "rotation": rotation}
        strengths = {"scale": scale, "stretch": stretch, "translation": translation}
        for name, share in shares.items():
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"augmentation.{name} is {share}; it must be from 0 (never) to 1")
        for name, strength in strengths.items():
            if not 0 <= strength <= 1:
                raise ValueError(f"augmentation.{name} is {strength}; it must be from 0 (none) to 1")
        self.p = p
        self.flips = [p if share is None else share for share in (x_flip, y_flip)]
        self.strengths: Mapping[str, float] = {**strengths, "rotation": rotation}

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Change images (B, C, H, W) at random, by torch's default generator: (B, C, H, W), label (B, 9)."""
        label = self.draw(len(x), x.device)
        return self.transformed(x, label), label

    def draw(self, n: int, device: torch.device) -> Tensor:
        """Draw the labels of n images: (n, 9) float32. Nothing is drawn where nothing can happen."""
        label = torch.zeros(n, LABEL, device=device)
        if not any((self.p, *self.flips)):
            return label
        chosen, uniform = (global_batch.uniform(n, (6,), device=device) for _ in range(2))
        normal = global_batch.normal(n, (4,), device=device)
        horizontal = global_batch.uniform(n, device=device) < 0.5
        # Filled on the device: to copy a list there would wait for it.
        share = torch.cat([torch.full((1,), p, device=device) for p in [*self.flips, *[self.p] * 4]])
        happens = (chosen < share).float()  # (n, 6): flips, scale, rotation, stretch, translation
        angle = (2 * uniform[:, 2] - 1) * math.pi * self.strengths["rotation"] * happens[:, 3]
        twice = (2 * uniform[:, 3] * math.pi).masked_fill(horizontal, 0)  # r and r + 180 degrees are one line
        label[:, :2] = (uniform[:, :2] < 0.5) * happens[:, :2]
        label[:, 2] = normal[:, 0] * happens[:, 2] * bool(self.strengths["scale"])
        label[:, 3:5] = torch.stack([angle.cos() - 1, angle.sin()], dim=1)
        stretch = normal[:, 1] * happens[:, 4] * bool(self.strengths["stretch"])
        label[:, 5:7] = stretch[:, None] * torch.stack([twice.cos(), twice.sin()], dim=1)
        label[:, 7:] = normal[:, 2:] * happens[:, 5:] * bool(self.strengths["translation"])
        return label

    def transformed(self, x: Tensor, label: Tensor) -> Tensor:
        """Do to images (B, C, H, W) what their label (B, 9) says: (B, C, H, W). Label 0 changes no bit."""
        flips = label[:, :2, None, None, None].bool()
        x = torch.where(flips[:, 0], x.flip(3), x)
        x = torch.where(flips[:, 1], x.flip(2), x)
        warped = F.grid_sample(
            x, self.grid(x, label).to(x.dtype), mode="bicubic", padding_mode="reflection", align_corners=True
        )
        return torch.where((label[:, 2:] == 0).all(1)[:, None, None, None], x, warped)

    def grid(self, x: Tensor, label: Tensor) -> Tensor:
        """Places in the image, from -1 to 1, that pixels of the transformed one come from: (B, H, W, 2)."""
        height, width = x.shape[2:]
        _, _, scale, cos, sin, *stretch = label[:, :, None, None].unbind(1)  # (B, 1, 1) each
        half = [(width - 1) / 2, (height - 1) / 2]  # of the distance between the outermost pixels
        v = torch.arange(height, device=x.device)[:, None] - half[1] - height * self.moved(label, 8)
        u = torch.arange(width, device=x.device) - half[0] - width * self.moved(label, 7)  # to the right
        # Angles are counter-clockwise as the image is seen, and v points down.
        along, across = self.stretched(u, v, stretch[0], stretch[1])
        shrink, cos = torch.exp2(-self.strengths["scale"] * scale), 1 + cos
        column, row = shrink * (cos * along - sin * across), shrink * (sin * along + cos * across)
        return torch.stack([column / max(half[0], 0.5), row / max(half[1], 0.5)], dim=3)

    def moved(self, label: Tensor, number: int) -> Tensor:
        """Return a translation as a share of the width (number 7) or the height (8): (B, 1, 1)."""
        return self.strengths["translation"] * label[:, number, None, None]

    def stretched(self, u: Tensor, v: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
        """Undo the stretch of n (cos 2r, sin 2r): exp(-k S) (u, v) = (cosh(k) - sinh(k) S) (u, v), where
        S = ((cos 2r, -sin 2r), (-sin 2r, -cos 2r)) and k = n ln(2) stretch; all broadcast to (B, H, W).
        """
        n = torch.hypot(cosine, sine)
        k = n * math.log(2) * self.strengths["stretch"]
        sinh, cosh = k.sinh() / torch.where(n == 0, 1, n), k.cosh()
        return cosh * u - sinh * (cosine * u - sine * v), cosh * v + sinh * (sine * u + cosine * v)


def give_labels(network: nn.Module) -> None:
    """Have a network take labels of augmentations. Raises ValueError where it is not made for them."""
    if not isinstance(network, AugmentedNetwork):
        raise ValueError(
            f"an augmentation gives the network labels of what was done to images, and "
            f"{type(network).__name__} takes none: use network=unet, dit or ddpm_pp, or derive the network "
            "from genbench.diffusion.augment.AugmentedNetwork"
        )
    network.take_labels()
