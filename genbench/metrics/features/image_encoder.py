"""Shipped feature networks as encoders of images, whose embeddings a model can be given."""

from collections.abc import Sequence

from torch import Tensor, nn

from genbench.data import ImageSource
from genbench.data.pixels import bytes_of
from genbench.metrics.features.auto import SHIPPED
from genbench.metrics.features.shipped import ShippedFeatures

__all__ = ["ShippedEncoder", "auto_encoder"]


class ShippedEncoder(nn.Module):
    """The features of a shipped network: 8-bit images x (B, C, H, W) in [-1, 1] -> (B, d).

    features: which network. shape: (C, H, W) of the images. The weights are frozen, and part of the model
    that takes them, so that a checkpoint alone can go on where a later version ships others.
    Raises ValueError on images of another shape, and where the shipped file is missing or damaged.
    """

    def __init__(self, features: ShippedFeatures, shape: Sequence[int]) -> None:
        super().__init__()
        if tuple(shape) != features.shape:
            raise ValueError(
                f"images are {tuple(shape)}; image_encoder={features.option} is for images of "
                f"{features.shape}: use image_encoder=run (of a model with latents) or image_encoder=clip"
            )
        features.check_file()
        self.extractor = features.network()

    def train(self, mode: bool = True) -> "ShippedEncoder":
        """Remain in evaluation mode, as feature networks must."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.extractor(bytes_of(x)).features
        return found


def auto_encoder(data: ImageSource) -> ShippedEncoder:
    """Return the features of the shipped network that was trained on a data set. Raises ValueError where
    there is none, with what embeds such images.
    """
    if data.name not in SHIPPED:
        raise ValueError(
            f"no network that is shipped embeds images of {data.name}: use image_encoder=run "
            "image_encoder.model.run_dir=RUN (of a model with latents on the same images), or "
            "image_encoder=clip image_encoder.path=PATH"
        )
    return ShippedEncoder(SHIPPED[data.name], data.shape)
