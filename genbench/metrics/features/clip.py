"""Features of CLIP's image tower, on which CMMD was published."""

from typing import Any

import torch
from torch import Tensor, nn

from genbench.data import ImageData, ImageSource, to_float
from genbench.metrics.cache import digest
from genbench.metrics.features.extractor import FeatureExtractor, Features, FeatureSource
from genbench.metrics.features.weights import check_channels
from genbench.records.feature_network import FeatureNetwork
from genbench.records.transformer_models import CLIP, load_model
from genbench.runtime.progress import Progress
from genbench.text.clip_image import clip_pixels

__all__ = ["CLIPFeatures"]

AT_ONCE = 32  # images; the tower's own size and its tokens take memory
REMEDY = (
    "name a folder that save_pretrained wrote, or USER/NAME on the Hub, such as "
    "features.path=openai/clip-vit-large-patch14-336 (more_features.clip.path=.. beside other features)"
)


class CLIPFeatures(FeatureSource):
    """The projected embedding of images by CLIP, of a folder of its weights or a name on the Hub.

    path: a folder of the whole CLIP that `save_pretrained` wrote, or USER/NAME on the Hub, of a `revision` or
    the newest one; weights are read from safetensors files, and nothing in it is executed. Needs the library
    transformers. There are no classes, so the Inception score is left out.
    """

    def __init__(self, path: str | None = None, *, revision: str | None = None) -> None:
        if path is None:
            raise ValueError(f"the path of CLIP's weights is null: {REMEDY}")
        self.path, self.revision = path, revision

    def check(self, source: ImageSource | ImageData) -> None:
        """Raise ValueError on images of other than 1 or 3 channels, where the library is missing, and where
        the weights cannot be had, are another model's or not whole.
        """
        check_channels(source, "CLIP")
        self.published()

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        return CLIPExtractor(self.published(), grey=data.shape[0] == 1).to(device)

    def published(self) -> Any:  # noqa: ANN401
        """Load CLIP, both towers, in float32; raises as `load_model` does."""
        return load_model(CLIP, self.path, self.revision, key="features")


class CLIPExtractor(FeatureExtractor):
    """(B, 1 or 3, H, W) -> the projected embedding, (B, F), not of length 1; CMMD scales it itself.

    Images are resized to the tower's own square, bicubic and antialiased, see `clip_pixels`; the protocol
    says its side and 8 digits of the sha256 of the weights.
    Source: Radford et al. 2021, Section 2.4.
    """

    def __init__(self, model: Any, *, grey: bool) -> None:  # noqa: ANN401
        parts = nn.ModuleDict({"tower": model.vision_model, "projection": model.visual_projection})
        sha256, side = digest(parts.state_dict()), model.config.vision_config.image_size
        protocol = f"clip-{sha256[:8]},res=bicubic{side}{',grey' if grey else ''}"
        width = model.visual_projection.out_features
        super().__init__(protocol, sha256, width, FeatureNetwork("published network"))
        self.parts, self.side = parts.requires_grad_(False), side
        self.eval()

    def extract(self, images: Tensor) -> Features:
        # Part by part, since the large images are not all held at once.
        pixels = (clip_pixels(to_float(part), self.side) for part in images.split(AT_ONCE))
        pooled = torch.cat([self.parts["tower"](pixel_values=part).pooler_output for part in pixels])
        features = self.parts["projection"](pooled)
        return Features(features, features.new_zeros(len(features), 0))  # no classes, so no logits
