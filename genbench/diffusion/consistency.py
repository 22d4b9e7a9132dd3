"""Consistency: a network that leads from anywhere on a path to its end at once."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from genbench.diffusion.flow_matching import PathTimes
from genbench.diffusion.process import Known, Losses
from genbench.diffusion.straight import Straight, level
from genbench.runtime import global_batch

__all__ = ["Consistency"]


class Consistency(Straight):
    """f(xt, t) = xt + t network(xt, t) is the image to which the flow leads from xt; so f(x, 0) = x.

    loss = E d(f(xt, t), f(xs, s)) / (t - s), where xt and xs share x0 and eps, s = (1 - gap) t, the second f
    has no gradient, and d(a, b) = sqrt(|a - b|^2 + c^2) - c with squares averaged over D.
    gap = 2^-(doublings * share of the budget that is spent): at first s = 0, where f is known; then steps
    become finer, and what is known spreads from there to t = 1.
    double_images: gap = 2^-min(images trained on / double_images, doublings) instead, whatever the budget; of
    it no less than doublings * double_images images should be left.
    steps: of a sample, a pass each; before each but the first, noise is added anew.
    There is no likelihood, and no guidance: what is mixed from two ends is none of a flow.
    Source: Song et al. 2023, Definition 1, Algorithms 1 and 3; distance and weight: Song & Dhariwal 2024,
    Sections 3.1 and 3.3; gaps: Geng et al. 2025 (easy consistency tuning). Apart from them: straight paths.
    """

    images: Tensor
    """How many it was trained on, () float64."""

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
        if steps < 1:
            raise ValueError(f"process.steps is {steps}; it must be at least 1, e.g. 1 or 2")
        if double_images is not None and double_images < 1:
            raise ValueError(
                f"process.double_images is {double_images}; it must be at least 1, e.g. 8000, or null to "
                "spread the doublings over the budget"
            )
        if not doublings >= 0:
            raise ValueError(f"process.doublings is {doublings}; it must be at least 0 (a denoiser), e.g. 8")
        if not c > 0:
            raise ValueError(f"process.c is {c}; it must be above 0, e.g. 0.0005")
        self.times, self.steps = times, steps
        self.double_images, self.doublings, self.c = double_images, doublings, c
        self.register_buffer("images", torch.zeros((), dtype=torch.float64))
        self.spent = 0.0

    def losses(self, network: nn.Module, x0: Tensor, y: Tensor | None, *, phase: str) -> Losses:
        t, eps, gap = self.times.draw(len(x0), x0.device), global_batch.normal_like(x0), self.gap()
        if self.training and global_batch.last_part():
            self.images += global_batch.size(len(x0))
        devices = [x0.device] if x0.is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices):  # both see the same dropout
            known = network(*between(x0, eps, (1 - gap) * t), y).float()
        learned = network(*between(x0, eps, t), y).float()
        # (f(xt, t) - f(xs, s)) / (t - s), free of the cancellation in both differences where t is small
        apart = known - (x0 - eps) + (learned - known) / gap.float()
        squared, c = apart.square().flatten(1).mean(1), (self.c / (gap * t)).float()
        total = (squared / ((squared + c**2).sqrt() + c)).mean()
        return Losses(total, {"consistency": total.detach()})

    def begin_step(self, spent: float) -> None:
        self.spent = min(spent, 1.0)

    def gap(self) -> Tensor:
        """1 - s / t, () float64."""
        if self.double_images is None:
            return torch.full_like(self.images, 2 ** -(self.doublings * self.spent))
        return 2 ** -(self.images / self.double_images).clamp(max=self.doublings)

    def check_network(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> None:
        shape = network(x0, torch.ones(len(x0)), y).shape
        if shape != x0.shape:
            raise ValueError(f"the network answers {tuple(shape)}: set network.answers=1")

    def path(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor | None,
        rng: Generator | None,
        *,
        start: float = 1.0,
        known: Known | None = None,
    ) -> Iterator[Tensor]:
        steps = max(round(self.steps * start), 1)
        for k in range(steps, 0, -1):
            t = start * k / steps
            xt = x if k == steps else self.noised(x, t, rng)
            end = xt + t * network(xt, torch.full((len(x),), t, device=x.device), y).float()
            x = end if known is None else known.within(end)
            yield x


def between(x0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where paths from x0 to eps are at times t (B,), and t: (B, C, H, W), (B,) float32."""
    at = level(t)
    return at.alpha * x0 + at.sigma * eps, t.float()
