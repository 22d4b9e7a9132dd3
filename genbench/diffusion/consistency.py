"""Consistency training: a network that maps any point of a path to the end of the path in one pass."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from genbench.diffusion.flow_matching import Straight, straight_level
from genbench.diffusion.path_times import PathTimes
from genbench.diffusion.process import Known
from genbench.probability.counts import MOST_PASSES, check_count
from genbench.probability.loss import Loss
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning

__all__ = ["Consistency"]

MOST_DOUBLINGS = 23
"""Steps along a path that are halved more often are lost in the rounding of float32."""


class Consistency(Straight):
    """f(xt, t) = xt + t network(xt, t) is the image to which the flow leads from xt; so f(x, 0) = x.

    loss = E d(f(xt, t), f(xs, s)) / (t - s), where xt and xs share x0 and eps, s = (1 - gap) t, the second f
    has no gradient, and d(a, b) = sqrt(|a - b|^2 + c^2) - c with squares averaged over D.
    gap = 2^-(doublings * share of the budget that is spent): at first s = 0, where f is known; then steps
    become finer, and what is learned at small t carries over to t = 1.
    double_images: gap = 2^-min(images trained on / double_images, doublings) instead, whatever the budget,
    which should be at least doublings * double_images images.
    steps: of a sample, a pass each; before each but the first, noise is added anew.
    c: the width of d around 0, below which it is quadratic.
    There is no likelihood, and no guidance: a mixture of two path ends is not the end of a path.
    Raises ValueError on numbers outside their range.
    Source: Song et al. 2023, Definition 1, Algorithms 1 and 3; distance and weight: Song & Dhariwal 2024,
    Sections 3.1 and 3.3; gaps: Geng et al. 2025 (easy consistency tuning). Apart from them: straight paths.
    """

    images: Tensor
    """The number of images that it was trained on, () float64."""

    def __init__(
        self,
        *,
        times: PathTimes,
        steps: int = 1,
        double_images: int | None = None,
        doublings: float = 8.0,
        c: float = 0.0005,
    ) -> None:
        super().__init__()
        check_count("process.steps", steps, MOST_PASSES, usual=2)
        if double_images is not None and double_images < 1:
            raise ValueError(
                f"process.double_images is {double_images}; it must be at least 1, e.g. 8000, or null to "
                "derive the step sizes from the share of the budget"
            )
        if not 0 <= doublings <= MOST_DOUBLINGS:
            raise ValueError(
                f"process.doublings is {doublings}; it must be from 0 (a denoiser) to "
                f"{MOST_DOUBLINGS}, e.g. 8"
            )
        if not c > 0:
            raise ValueError(f"process.c is {c}; it must be above 0, e.g. 0.0005")
        self.times, self.steps = times, steps
        self.double_images, self.doublings, self.c = double_images, doublings, c
        self.register_buffer("images", torch.zeros((), dtype=torch.float64))
        self.spent = 0.0

    def losses(self, network: nn.Module, x0: Tensor, y: Conditioning, *, phase: str) -> Loss:
        # Paths share t, x0 and eps; the gap is that before this batch is counted.
        t, eps, gap = self.times.draw(len(x0), x0.device), global_batch.normal_like(x0), self.gap()
        # Counted once a batch, so that gradient accumulation does not change the step sizes.
        if self.training and global_batch.last_part():
            self.images += global_batch.size(len(x0))
        devices = [x0.device] if x0.is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices):  # both passes have the same dropout
            known = network(*between(x0, eps, (1 - gap) * t), y).float()
        learned = network(*between(x0, eps, t), y).float()
        # (f(xt, t) - f(xs, s)) / (t - s), rearranged: both differences would cancel digits where t is small.
        apart = known - (x0 - eps) + (learned - known) / gap.float()
        # d / (t - s) = |apart|^2 / (sqrt(|apart|^2 + c'^2) + c'), c' = c / (t - s), in which nothing cancels.
        squared, c = apart.square().flatten(1).mean(1), (self.c / (gap * t)).float()
        total = (squared / ((squared + c**2).sqrt() + c)).mean()
        return Loss(total, {"consistency": total.detach()})

    def begin_step(self, spent: float) -> None:
        self.spent = min(spent, 1.0)

    def check_budget(self, images: int) -> None:
        if self.double_images is not None and self.double_images > images:
            raise ValueError(
                f"process.double_images is {self.double_images}, and the budget is {images} images, in which "
                f"the step size would never be halved: use at most {images}, or null (halved over the budget)"
            )

    def gap(self) -> Tensor:
        """1 - s / t at the present share of the budget, or number of images: () float64, from 1 down."""
        # A tensor in both cases: images are counted on the device, where reading them would stall.
        if self.double_images is None:
            return torch.full_like(self.images, 2 ** -(self.doublings * self.spent))
        return 2 ** -(self.images / self.double_images).clamp(max=self.doublings)

    def path(
        self,
        network: nn.Module,
        x: Tensor,
        y: Conditioning,
        rng: Generator | None,
        *,
        start: float = 1.0,
        known: Known | None = None,
    ) -> Iterator[Tensor]:
        steps = max(round(self.steps * start), 1)
        for k in range(steps, 0, -1):
            t = start * k / steps
            # Multistep sampling: noise is added again to the last estimate, then removed in one pass.
            xt = x if k == steps else self.noised(x, t, rng)
            end = xt + t * network(xt, torch.full((len(x),), t, device=x.device), y).float()
            x = end if known is None else known.within(end)
            yield x


def between(x0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the points of the paths from x0 to eps at times t (B,), and t: (B, C, H, W), (B,) float32.

    Both are what the network takes.
    """
    at = straight_level(t)
    return at.alpha * x0 + at.sigma * eps, t.float()
