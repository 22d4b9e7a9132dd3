"""Features of the Inception network of 2015, on which FID, IS and KID were published."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genbench.data import ImageData, ImageSource
from genbench.data.source import file_digest
from genbench.metrics.features.extractor import (
    FeatureExtractor,
    Features,
    FeatureSource,
    without_weights,
)
from genbench.metrics.features.folded_inception import FoldedInception
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

if TYPE_CHECKING:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

__all__ = ["InceptionExtractor", "InceptionFeatures", "InceptionSpatialFeatures", "SpatialExtractor"]

FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
REMEDY = f"give {FILE}, or null to download it"
OUTPUTS = ["2048", "logits_unbiased"]  # torch-fidelity's names of the pooled features and of the logits


class InceptionFeatures(FeatureSource):
    """torch-fidelity's Inception-2015 with its TF1 resize; grey images are repeated to three channels.

    `weights` is a file of that network's layout; None takes the published one from torch's hub folder
    ($TORCH_HOME/hub/checkpoints), and downloads it where it is missing.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.weights = weights

    def check(self, source: ImageSource | ImageData) -> None:
        """Raise ValueError on other than 1 or 3 channels or a file of another layout, FileNotFoundError
        where `weights` is not a file, MissingWeights where the published ones cannot be downloaded.
        """
        check_channels(source, "Inception")
        read_state(self.locate(source))

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        path = self.locate(data)
        network = empty_network()
        # `assign` puts the file's tensors in place of the empty ones, so nothing is drawn at random first.
        network.load_state_dict(read_state(path), assign=True)
        return InceptionExtractor(network, file_digest(path), data.shape[0]).eval().to(device)

    def locate(self, source: ImageSource | ImageData) -> Path:
        """Find the weights file: the one that was given or the published one, which is downloaded where it is
        not there yet. source: the images, which decide the remedy of messages. Raises FileNotFoundError or
        MissingWeights.
        """
        if self.weights is None:
            from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

            published = Published("Inception", FILE, URL_INCEPTION_V3, SHA256)
            return published_file(published, without_weights(source))
        return local_file(self.weights, REMEDY)


class InceptionSpatialFeatures(InceptionFeatures):
    """The spatial features of the same network, whose Frechet distance is sFID (Nash et al. 2021); `weights`
    as of `InceptionFeatures`. There are no classes, so the Inception score is left out.
    """

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        whole = super().build(data, device=device, progress=progress)
        assert isinstance(whole, InceptionExtractor)
        return SpatialExtractor(whole)


class InceptionExtractor(FeatureExtractor):
    """(B, C, H, W) -> 2048 pooled features and 1008 logits without bias.

    The protocol says "inception" of the published weights alone; others carry 8 digits of their sha256.
    network: torch-fidelity's, whose numbers `FoldedInception` gives to 1e-5 in less time.
    Source: Heusel et al. 2017; the network and the resize are torch-fidelity's (Obukhov et al. 2020).
    """

    def __init__(self, network: "FeatureExtractorInceptionV3", weights_sha256: str, channels: int) -> None:
        name = "inception" if weights_sha256 == SHA256 else f"inception-{weights_sha256[:8]}"
        protocol = f"{name},res=tf1{',grey' if channels == 1 else ''}"
        super().__init__(protocol, weights_sha256, 2048, FeatureNetwork("published network"))
        self.network = FoldedInception(network)
        self.channels = channels

    def check_images(self, images: Tensor) -> None:
        """Raise ValueError on images (B, C, H, W) of other channels than this network was built for."""
        if images.shape[1] != self.channels:
            raise ValueError(
                f"images have {images.shape[1]} channels; this extractor was built for {self.channels}"
            )

    def extract(self, images: Tensor) -> Features:
        self.check_images(images)
        return Features(*self.network(images))


class SpatialExtractor(FeatureExtractor):
    """(B, C, H, W) -> 7 channels of 17 x 17, (B, 2023): the first ones of the convolution of 1 x 1 in
    Mixed_6d, behind its normalisation and ReLU, which tell where in an image something is.

    Source: Nash et al. 2021, Section 4; the tensor mixed_6/conv:0, which the graph of 2015 gives behind the
    ReLU, and its 7 channels as in the evaluation code of Dhariwal & Nichol 2021.
    """

    def __init__(self, whole: InceptionExtractor) -> None:
        name, settings = whole.protocol.split(",", 1)
        protocol = f"{name.replace('inception', 'inception-spatial', 1)},{settings}"
        super().__init__(protocol, whole.weights_sha256, 2023, whole.origin)
        self.whole = whole
        self.eval()

    def extract(self, images: Tensor) -> Features:
        self.whole.check_images(images)
        features = self.whole.network.spatial(images)[:, :7].flatten(1)
        return Features(features, features.new_zeros(len(features), 0))


def empty_network() -> "FeatureExtractorInceptionV3":
    """torch-fidelity's network without storage.

    Its own constructor unpickles the weights file unsafely. So the layers are laid out here, under its names;
    the blocks stay torch-fidelity's, and `FoldedInception` has the forward pass.
    """
    from torch_fidelity import feature_extractor_inceptionv3 as tf
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Inception(tf.FeatureExtractorInceptionV3):  # type: ignore[misc]  # it has no annotations
        def __init__(self) -> None:
            FeatureExtractorBase.__init__(self, "inception-v3-compat", OUTPUTS)
            self.feature_extractor_internal_dtype = torch.float32
            self.Conv2d_1a_3x3 = tf.BasicConv2d(3, 32, kernel_size=3, stride=2)
            self.Conv2d_2a_3x3 = tf.BasicConv2d(32, 32, kernel_size=3)
            self.Conv2d_2b_3x3 = tf.BasicConv2d(32, 64, kernel_size=3, padding=1)
            self.MaxPool_1 = nn.MaxPool2d(kernel_size=3, stride=2)
            self.Conv2d_3b_1x1 = tf.BasicConv2d(64, 80, kernel_size=1)
            self.Conv2d_4a_3x3 = tf.BasicConv2d(80, 192, kernel_size=3)
            self.MaxPool_2 = nn.MaxPool2d(kernel_size=3, stride=2)
            self.Mixed_5b = tf.InceptionA(192, pool_features=32)
            self.Mixed_5c = tf.InceptionA(256, pool_features=64)
            self.Mixed_5d = tf.InceptionA(288, pool_features=64)
            self.Mixed_6a = tf.InceptionB(288)
            self.Mixed_6b = tf.InceptionC(768, channels_7x7=128)
            self.Mixed_6c = tf.InceptionC(768, channels_7x7=160)
            self.Mixed_6d = tf.InceptionC(768, channels_7x7=160)
            self.Mixed_6e = tf.InceptionC(768, channels_7x7=192)
            self.Mixed_7a = tf.InceptionD(768)
            self.Mixed_7b = tf.InceptionE_1(1280)
            self.Mixed_7c = tf.InceptionE_2(2048)
            self.AvgPool = nn.AdaptiveAvgPool2d(output_size=(1, 1))
            self.fc = nn.Linear(2048, 1008)

    with torch.device("meta"):  # no memory and no random draws: `load_state_dict(assign=True)` fills it
        return Inception()


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the weights of the Inception network from a file, without running code in it.

    Raises ValueError where they are not this network's, by names and shapes.
    """
    state = read_tensors(path, REMEDY)
    check_layout(state, empty_network(), path, of="Inception-2015", remedy=f"give {FILE}")
    return state
