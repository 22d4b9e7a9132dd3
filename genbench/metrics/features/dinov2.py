"""Features of DINOv2, whose distances agree with ratings by people better than those of Inception (Stein et
al. 2023).
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from genbench.data import ImageData, ImageSource
from genbench.data.source import file_digest
from genbench.metrics.features.extractor import (
    FeatureExtractor,
    Features,
    FeatureSource,
    without_weights,
)
from genbench.metrics.features.vit import VisionTransformer
from genbench.metrics.features.weights import (
    Published,
    check_channels,
    check_layout,
    local_file,
    published_file,
    read_tensors,
)
from genbench.records.feature_network import FeatureNetwork
from genbench.runtime.progress import Progress

__all__ = ["DINOv2Features"]

SIZES = {384: ("vits14", 12), 768: ("vitb14", 12), 1024: ("vitl14", 24)}  # width -> name, depth
REMEDY = "give dinov2_vits14_pretrain.pth, or vitb14 or vitl14, as published"
# The size of the published scores; the authors state no sha256 of the file.
VITL14 = Published(
    "DINOv2",
    "dinov2_vitl14_pretrain.pth",
    "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    sha256=None,
)
SIDE = 224  # pixels: 16 patches of 14
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
AT_ONCE = 32  # images; 224 x 224 pixels and 257 tokens of each take memory


class DINOv2Features(FeatureSource):
    """The class token of a DINOv2 transformer (S, B or L, patches of 14, without registers).

    `weights` is a file of its published weights, whose tensors say which size it is; None takes ViT-L, on
    which Stein et al. 2023 published their scores, from torch's hub folder, and downloads it where it is
    missing. There are no classes, so the Inception score is left out.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.weights = weights

    def check(self, source: ImageSource | ImageData) -> None:
        """Raise ValueError on images of other than 1 or 3 channels and on a weights file of another layout,
        FileNotFoundError where there is no such file, MissingWeights where ViT-L cannot be downloaded.
        """
        check_channels(source, "DINOv2")
        read(self.locate(source))

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        path = self.locate(data)
        name, network = read(path)
        grey = ",grey" if data.shape[0] == 1 else ""
        digest = file_digest(path)
        protocol = f"dinov2-{name}-{digest[:8]},res=bicubic{SIDE}{grey}"
        return DINOv2Extractor(protocol, digest, network).eval().to(device)

    def locate(self, source: ImageSource | ImageData) -> Path:
        """Find the weights file, the one that was given or that of ViT-L; raises as `check` does, with what
        suits the images of `source` as a remedy.
        """
        if self.weights is None:
            return published_file(VITL14, without_weights(source))
        return local_file(self.weights, REMEDY)


class DINOv2Extractor(FeatureExtractor):
    """(B, 1 or 3, H, W) -> the class token, (B, 384, 768 or 1024).

    Images are resized to 224 pixels a side as Pillow does it (bicubic, without aliasing, to whole levels).
    Source: Oquab et al. 2024; Stein et al. 2023 on the preprocessing.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, protocol: str, weights_sha256: str, network: VisionTransformer) -> None:
        num_features = network.norm.normalized_shape[0]
        super().__init__(protocol, weights_sha256, num_features, FeatureNetwork("published network"))
        self.network = network.float().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    def extract(self, images: Tensor) -> Features:
        # Normalised as in its training, part by part, since the large images are not all held at once.
        parts = ((resized(part) / 255 - self.mean) / self.std for part in images.split(AT_ONCE))
        features = torch.cat([self.network(part) for part in parts])
        return Features(features, features.new_zeros(len(features), 0))  # no classes, so no logits


def resized(images: Tensor) -> Tensor:
    """Resize images (B, 1 or 3, H, W) uint8 to (B, 3, 224, 224) float32, whole levels from 0 to 255.

    Width first, then height, each to whole levels, which is where Pillow cuts what overshoots.
    """
    x = images.float()
    for size in ((x.shape[2], SIDE), (SIDE, SIDE)):
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True).round().clamp(0, 255)
    return x.expand(-1, 3, -1, -1)


def read(path: Path) -> tuple[str, VisionTransformer]:
    """Read a weights file: the name of its size, such as "vits14", which its tensors tell, and the network
    with these weights. Raises ValueError on a file of another layout.
    """
    state = read_tensors(path, REMEDY)
    token = state.get("cls_token")
    width = token.shape[-1] if token is not None and token.dim() else min(SIZES)
    if width not in SIZES:
        raise ValueError(f"{path} has tokens of {width} features; DINOv2 has {', '.join(map(str, SIZES))}")
    name, depth = SIZES[width]
    with torch.device("meta"):  # drawing weights, only to replace them, would move torch's generator
        network = VisionTransformer(width, depth)
    check_layout(state, network, path, of=f"DINOv2 {name}", remedy=REMEDY)
    network.load_state_dict(state, assign=True)
    return name, network
