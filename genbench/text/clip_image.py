"""The image tower of CLIP, whose embeddings of images lie in one space with those of texts."""

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.records.transformer_models import CLIP, load_model
from genbench.runtime.frozen_weights import FrozenWeights

__all__ = ["ClipImage"]

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
    mean: Tensor
    deviation: Tensor

    def __init__(self, *, path: str, revision: str | None = None) -> None:
        super().__init__()
        model = load_model(CLIP, path, revision, key="image_encoder")
        self.tower, self.projection = model.vision_model, model.visual_projection
        self.side: int = model.config.vision_config.image_size
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.freeze()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] not in (1, 3):
            raise ValueError(f"images have {x.shape[1]} channels; CLIP takes 1 (repeated) or 3")
        x = F.interpolate((x + 1) / 2, (self.side, self.side), mode="bicubic", antialias=True).clamp(0, 1)
        pixels = (x.expand(-1, 3, -1, -1) - self.mean) / self.deviation
        found: Tensor = self.projection(self.tower(pixel_values=pixels).pooler_output)
        return found
