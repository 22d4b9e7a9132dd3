"""The flows of the literature, from pixels v in [0, 256) to latents that a standard normal describes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from genbench.flows.actnorm import ActNorm
from genbench.flows.conv1x1 import Conv1x1
from genbench.flows.coupling import Channels, Checkerboard, CouplingFunction, CouplingLayer, Partition
from genbench.flows.multiscale import levels_of, squeeze
from genbench.flows.network import CouplingNets
from genbench.flows.squeeze import Squeeze
from genbench.flows.transform import Composed, Shape, Transform
from genbench.probability.counts import MOST_LAYERS, check_count

__all__ = ["Glow", "Levels", "RealNVP"]


class Levels(Composed, ABC):
    """Pixels to the real line, then levels of one kind, half of the channels factored out after each.

    (B, C, H, W) -> (B, C H W).
    shape: (C, H, W) of the images, any H and W; a level whose map has an odd side is the last one.
    pixels: the map from [0, 256) to the real line. coupling, networks, steps: of each level.
    patch: side of squares of pixels that are folded into channels before all else; 1 folds nothing.
    split_bound: of the log-scale of latents that are factored out early.
    Raises ValueError unless there is at least one level of one step, and `patch` divides the image.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        pixels: Transform,
        coupling: CouplingFunction,
        networks: CouplingNets,
        levels: int = 2,
        steps: int = 4,
        patch: int = 1,
        split_bound: float = 3.0,
    ) -> None:
        if not split_bound > 0:
            raise ValueError(f"flow.split_bound is {split_bound}; it must be above 0, e.g. 3.0")
        check_count("flow.levels", levels, MOST_LAYERS, usual=2)
        check_count("flow.steps", steps, MOST_LAYERS, usual=8)
        self.coupling, self.networks, self.steps = coupling, networks, steps
        channels, height, width = shape
        fold = Squeeze((channels, height, width), patch)
        rest = levels_of(fold.shape, levels, self.level, networks, bound=split_bound)
        super().__init__([pixels, fold, rest])

    @abstractmethod
    def level(self, shape: Shape) -> list[Transform]:
        """The transforms of one level for maps (C, H, W), in the order from x to z.

        One of them is the squeeze of `multiscale.squeeze`, which levels_of relies on to know the shape of the
        output.
        """


class Glow(Levels):
    """Levels of: squeeze, then `steps` times ActNorm, invertible 1x1 convolution, coupling of channels.

    All other settings: see Levels. Source: Kingma & Dhariwal 2018, Figure 2.
    """

    def level(self, shape: Shape) -> list[Transform]:
        fold = squeeze(shape)
        channels, transforms = fold.shape[0], list[Transform]([fold])
        for _ in range(self.steps):  # of flow, Figure 2a
            transforms += [
                ActNorm(channels),
                Conv1x1(channels),
                CouplingLayer(Channels(fold.shape), self.coupling, self.networks),
            ]
        return transforms


class RealNVP(Levels):
    """Levels of: `steps` checkerboard couplings, squeeze, `steps` couplings of channels, each after ActNorm.

    Apart from the source: ActNorm in place of batch normalisation, whose statistics differ between training
    and use; a learned Gaussian for latents that are factored out; and the last level is as the others.
    Source: Dinh et al. 2017, Section 3.6 and 4.1.
    """

    def level(self, shape: Shape) -> list[Transform]:
        fold = squeeze(shape)
        squares = [Checkerboard(shape, swap=k % 2 == 1) for k in range(self.steps)]
        # A single channel has no halves to couple.
        halves = [
            Channels(fold.shape, swap=k % 2 == 1) for k in range(self.steps if fold.shape[0] > 1 else 0)
        ]
        return [*self.couplings(squares, shape[0]), fold, *self.couplings(halves, fold.shape[0])]

    def couplings(self, parts: Sequence[Partition], channels: int) -> Iterator[Transform]:
        """ActNorm and a coupling layer for each partition of maps of so many channels."""
        for part in parts:
            yield ActNorm(channels)
            yield CouplingLayer(part, self.coupling, self.networks)
