"""Features of DINOv2, which agree with people's judgement better than Inception's (Stein et al. 2023)."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from genbench.data import ImageData, ImageSource
from genbench.data.source import file_digest
from genbench.metrics.features.extractor import FeatureExtractor, Features, FeatureSource
from genbench.metrics.features.vit import VisionTransformer
from genbench.metrics.features.weights import check_layout, read_tensors
from genbench.runtime.progress import Progress

__all__ = ["DINOv2Features"]

SIZES = {384: ("vits14", 12), 768: ("vitb14", 12), 1024: ("vitl14", 24)}  # width -> name, depth
REMEDY = "give dinov2_vits14_pretrain.pth, or vitb14 or vitl14, as published"
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
AT_ONCE = 32  # images; 224 x 224 pixels and 257 tokens of each take memory


class DINOv2Features(FeatureSource):
    """The class token of a DINOv2 transformer, of a local file of its published weights (S, B or L, patches
    of 14, without registers); nothing is downloaded.

    The file's tensors say which size it is. There are no classes, so the Inception score is left out.
    """

    def __init__(self, weights: str | None = None) -> None:
        if weights is None:
            raise ValueError(f"features.weights is null; DINOv2 needs a file: {REMEDY}")
        self.weights = weights

    def check(self, source: ImageSource) -> None:
        """Raise ValueError on other than 1 or 3 channels or a file of another layout, FileNotFoundError where
        there is none."""
        if source.shape[0] not in (1, 3):
            raise ValueError(
                f"{source.name} has {source.shape[0]} channels; DINOv2 takes 1 (repeated) or 3: "
                "take features=classifier"
            )
        read(self.locate())

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        path = self.locate()
        name, network = read(path)
        grey = ",grey" if data.shape[0] == 1 else ""
        digest = file_digest(path)
        protocol = f"dinov2-{name}-{digest[:8]},res=bicubic{SIDE}{grey}"
        return DINOv2Extractor(protocol, digest, network).eval().to(device)

    def locate(self) -> Path:
        """The path of the weights file, as given or in the cache."""
        path = Path(self.weights).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"features.weights is {path}, which is no file; {REMEDY}")
        return path


class DINOv2Extractor(FeatureExtractor):
    """(B, 1 or 3, H, W) -> the class token, (B, 384, 768 or 1024).

    Images are resized to 224 pixels a side as Pillow does it (bicubic, without aliasing, to whole levels).
    Source: Oquab et al. 2024; Stein et al. 2023 on the preprocessing.
    """

    def __init__(self, protocol: str, weights_sha256: str, network: VisionTransformer) -> None:
        super().__init__(protocol, weights_sha256, network.norm.normalized_shape[0])
        self.network = network.float().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    def extract(self, images: Tensor) -> Features:
        features = torch.cat([self.network(self.prepared(part)) for part in images.split(AT_ONCE)])
        return Features(features, features.new_zeros(len(features), 0))

    def prepared(self, images: Tensor) -> Tensor:
        """As the network takes them: (B, 3, 224, 224) float32."""
        return (resized(images) / 255 - self.mean) / self.std


def resized(images: Tensor) -> Tensor:
    """Images (B, 1 or 3, H, W) uint8 in the network's size, levels 0 to 255 as floats, (B, 3, 224, 224).

    Width first, then height, each to whole levels, which is where Pillow cuts what overshoots.
    """
    x = images.float()
    for size in ((x.shape[2], SIDE), (SIDE, SIDE)):
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True).round().clamp(0, 255)
    return x.expand(-1, 3, -1, -1)


def read(path: Path) -> tuple[str, VisionTransformer]:
    """The network of a weights file, and what its size is called. Raises ValueError on another layout."""
    state = read_tensors(path, REMEDY)
    width = state["cls_token"].shape[-1] if "cls_token" in state else min(SIZES)
    if width not in SIZES:
        raise ValueError(f"{path} has tokens of {width} features; legal are {', '.join(map(str, SIZES))}")
    name, depth = SIZES[width]
    with torch.device("meta"):  # drawing weights, only to replace them, would move torch's generator
        network = VisionTransformer(width, depth)
    check_layout(state, network, path, of=f"DINOv2 {name}", remedy=REMEDY)
    network.load_state_dict(state, assign=True)
    return name, network
