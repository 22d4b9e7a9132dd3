"""The layers of VGG16 that LPIPS compares images by, with its learned weights of channels."""

from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from genbench.metrics.features.layers import FrozenLayers
from genbench.metrics.features.weights import (
    Published,
    check_layout,
    local_file,
    published_file,
    read_tensors,
)

__all__ = ["LPIPSLayers", "learned_channels"]

VGG = Published(
    "VGG16",
    "vgg16-397923af.pth",
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
)
REMEDY = f"give {VGG.file} of torchvision, or null to download it"
TAPS = (3, 8, 15, 22, 29)
"""Layers of torchvision's VGG16 that are compared: the last ReLU before each pooling."""
CHANNELS = (64, 128, 256, 512, 512)
"""Of the maps behind the taps."""
SMALLEST = 16
"""Pixels a side: four poolings leave one."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of the colours in [-1, 1], as VGG was trained on."""


class LPIPSLayers(FrozenLayers):
    """Five layers of VGG16, and how much each of their channels counts as comparisons by people showed.

    weights: a file of torchvision's VGG16; None takes it from torch's hub folder, and downloads it where it
    is missing. channels: a file of LPIPS's learned weights, None those that come with torchmetrics.
    Grey images are repeated to three channels. Files are read without running code in them.
    Raises FileNotFoundError on a file that is not there, MissingWeights where the published ones cannot be
    downloaded, ValueError on a file of another layout and on weights of channels below 0.
    Source: Zhang et al. 2018, Section 3 and Appendix B (version 0.1 of the weights); the numbers of the
    scaling are those of its code.
    """

    origin = "weights of LPIPS"
    shift: Tensor
    scale: Tensor

    def __init__(self, weights: str | None = None, channels: str | None = None) -> None:
        super().__init__()
        self.protocol = "lpips-vgg16"
        self.features = vgg_features(weights)
        self.lins = nn.ParameterList(learned_channels(channels))
        for name, values in (("shift", SHIFT), ("scale", SCALE)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.freeze()

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        if x.shape[1] not in (1, 3) or min(x.shape[2:]) < SMALLEST:
            raise ValueError(
                f"images are {tuple(x.shape[1:])}; perceptual=lpips takes 1 (repeated) or 3 channels and "
                f"{SMALLEST} pixels a side or more: use perceptual=features or perceptual=none"
            )
        h, found = (x.expand(-1, 3, -1, -1) - self.shift) / self.scale, []
        for index, layer in enumerate(self.features):
            h = layer(h)
            if index in TAPS:
                found.append(h)
        return list(zip(found, self.lins, strict=True))


def vgg_features(weights: str | None) -> nn.Sequential:
    """Build the convolutions of VGG16 up to the last tap, with the weights of a file, or the published ones
    (None). Raises FileNotFoundError, MissingWeights or ValueError as `LPIPSLayers` says.
    """
    from torchvision.models import vgg16

    if weights is None:
        path = published_file(VGG, "perceptual=features or perceptual=none", setting="perceptual.network")
    else:
        path = local_file(weights, REMEDY, setting="perceptual.network.weights")
    with torch.device("meta"):  # drawing weights, only to replace them, would move torch's generator
        network = cast("nn.Sequential", vgg16(weights=None).features)[: TAPS[-1] + 1]
    state = {
        name.removeprefix("features."): value.float()
        for name, value in read_tensors(path, REMEDY).items()
        if name.startswith("features.")
    }
    check_layout(state, network, path, of="VGG16", remedy=REMEDY)
    network.load_state_dict(state, assign=True)
    for module in network:
        if isinstance(module, nn.ReLU):
            module.inplace = False  # a tap's maps must remain as they are
    return network


def learned_channels(channels: str | None) -> list[Tensor]:
    """Read the learned weights of the channels of each tap, (F,) each; None: the file in torchmetrics, found
    without importing it. Raises FileNotFoundError, or ValueError on other names, shapes or signs.
    """
    remedy = "give vgg.pth of LPIPS 0.1, or null for the one in torchmetrics"
    if channels is None:
        spec = find_spec("torchmetrics")
        folder = Path((spec.origin if spec else None) or "torchmetrics").parent
        path = folder / "functional" / "image" / "lpips_models" / "vgg.pth"
    else:
        path = local_file(channels, remedy, setting="perceptual.network.channels")
    state = read_tensors(path, remedy)
    found = [state.get(f"lin{k}.model.1.weight", torch.zeros(0)).flatten().float() for k in range(len(TAPS))]
    if tuple(map(len, found)) != CHANNELS or any(bool((x < 0).any()) for x in found):
        raise ValueError(
            f"{path} has no weights of {', '.join(map(str, CHANNELS))} channels, each 0 or more, under "
            f"lin0.model.1.weight and so on: {remedy}"
        )
    return found
