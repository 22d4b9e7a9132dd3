"""The flows of the literature, from pixels v in [0, 256) to standard normal latents."""

from collections.abc import Sequence

from genbench.flows.actnorm import ActNorm
from genbench.flows.conv1x1 import Conv1x1
from genbench.flows.coupling import Channels, Checkerboard, Coupling, Law
from genbench.flows.multiscale import levels_of, squeeze
from genbench.flows.squeeze import Squeeze
from genbench.flows.transform import Composed, Shape, Transform
from genbench.nn.coupling import CouplingNets

__all__ = ["Glow", "RealNVP"]


class Glow(Composed):
    """Levels of: squeeze, then `steps` times ActNorm, invertible 1x1 convolution, coupling of channels.

    (B, C, H, W) -> (B, C H W).
    shape: (C, H, W) of the images, any H and W; a level whose map has an odd side is the last one.
    pixels: what brings [0, 256) to the real line.
    patch: side of squares of pixels that are folded into channels before all else; 1 folds nothing.
    split_bound: of the log-scale of latents that leave early.
    Source: Kingma & Dhariwal 2018, Figure 2.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        pixels: Transform,
        coupling: Law,
        networks: CouplingNets,
        levels: int = 3,
        steps: int = 8,
        patch: int = 1,
        split_bound: float = 3.0,
    ) -> None:
        check_counts(levels, steps)

        def level(shape: Shape) -> list[Transform]:
            fold = squeeze(shape)
            step = [
                transform for _ in range(steps) for transform in glow_step(fold.shape, coupling, networks)
            ]
            return [fold, *step]

        fold = Squeeze(as_shape(shape), patch)
        super().__init__([pixels, fold, levels_of(fold.shape, levels, level, networks, bound=split_bound)])


class RealNVP(Composed):
    """Levels of: `steps` checkerboard couplings, squeeze, `steps` couplings of channels, each after ActNorm.

    (B, C, H, W) -> (B, C H W). Arguments as Glow's.
    Apart from the source: ActNorm in place of batch normalisation, whose statistics differ between training
    and use; a learned Gaussian for latents that leave early; and the last level is as the others.
    Source: Dinh et al. 2017, Section 3.6 and 4.1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        pixels: Transform,
        coupling: Law,
        networks: CouplingNets,
        levels: int = 2,
        steps: int = 4,
        patch: int = 1,
        split_bound: float = 3.0,
    ) -> None:
        check_counts(levels, steps)

        def level(shape: Shape) -> list[Transform]:
            fold = squeeze(shape)
            squares = [Checkerboard(shape, swap=k % 2 == 1) for k in range(steps)]
            halves = [Channels(fold.shape, swap=k % 2 == 1) for k in range(steps if fold.shape[0] > 1 else 0)]
            return [
                *(t for part in squares for t in (ActNorm(shape[0]), Coupling(part, coupling, networks))),
                fold,
                *(t for part in halves for t in (ActNorm(fold.shape[0]), Coupling(part, coupling, networks))),
            ]

        fold = Squeeze(as_shape(shape), patch)
        super().__init__([pixels, fold, levels_of(fold.shape, levels, level, networks, bound=split_bound)])


def glow_step(shape: Shape, coupling: Law, networks: CouplingNets) -> list[Transform]:
    """One step of flow (Kingma & Dhariwal 2018, Figure 2a)."""
    return [ActNorm(shape[0]), Conv1x1(shape[0]), Coupling(Channels(shape), coupling, networks)]


def as_shape(shape: Sequence[int]) -> Shape:
    """A list of three sides as a tuple."""
    channels, height, width = shape
    return channels, height, width


def check_counts(levels: int, steps: int) -> None:
    """Raise ValueError unless there is at least one level of one step."""
    if levels < 1 or steps < 1:
        raise ValueError(f"flow.levels={levels} and flow.steps={steps} must both be at least 1")
