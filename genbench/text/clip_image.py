"""The image tower of CLIP, whose embeddings of images lie in one space with those of texts."""

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.records.transformer_models import CLIP, load_model
from genbench.runtime.frozen_weights import FrozenWeights

__all__ = ["ClipImage", "clip_pixels"]

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of each channel of the images that CLIP was trained on, in [0, 1]: OpenAI's, which later models take
too.
"""


class ClipImage(FrozenWeights):
    """Projected embeddings of images: x (B, C, H, W) in [-1, 1], C 1 (repeated) or 3 -> (B, F), not
    normalised.

    Images are resized to the tower's own square, bicubic and antialiased, whatever their sides are to each
    other. path: a folder of the whole CLIP that `save_pretrained` wrote, or USER/NAME on the Hub, of a
    `revision` or the newest one. The weights are read from safetensors files and frozen; nothing in the
    folder is executed.
    Raises ValueError where the folder is gone or another model's.
    Source: Radford et al. 2021, Section 2.4.
    """

    origin = "image encoder's weights"

    def __init__(self, *, path: str, revision: str | None = None) -> None:
        super().__init__()
        model = load_model(CLIP, path, revision, key="image_encoder")
        self.tower, self.projection = model.vision_model, model.visual_projection
        self.side: int = model.config.vision_config.image_size
        self.freeze()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        pixels = clip_pixels(x, self.side)
        found: Tensor = self.projection(self.tower(pixel_values=pixels).pooler_output)
        return found


def clip_pixels(x: Tensor, side: int) -> Tensor:
    """Bring images into the form that CLIP takes: x (B, C, H, W) in [-1, 1], C 1 (repeated) or 3, resized to
    a square, bicubic and antialiased, and normalised -> (B, 3, side, side). Raises ValueError on another C.
    """
    if x.shape[1] not in (1, 3):
        raise ValueError(f"images have {x.shape[1]} channels; CLIP takes 1 (repeated) or 3")
    x = F.interpolate((x + 1) / 2, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    mean, deviation = (x.new_tensor(numbers)[:, None, None] for numbers in (MEAN, DEVIATION))
    return (x.expand(-1, 3, -1, -1) - mean) / deviation
