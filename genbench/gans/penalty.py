"""Gradient penalties: bounds on the slope of a discriminator, without which the training may diverge."""

from collections.abc import Callable

import torch
from torch import Tensor

from genbench.probability.loss import Loss
from genbench.runtime import global_batch

__all__ = ["Penalties", "squared_slopes"]

Critic = Callable[[Tensor], Tensor]
TINY = 1e-12  # the root of 0 has no slope: one image that moves no logit would turn the weights to NaN


class Penalties:
    """The sum of three penalties of weights r1, r2 and gradient; one of weight 0 costs no time.

    r1 / 2 E |grad D(real)|^2 + r2 / 2 E |grad D(fake)|^2 + gradient E (|grad D(mixed)| - 1)^2
    grad is that of a logit by its image; mixed = u real + (1 - u) fake, u ~ U(0, 1) for each pair of images.
    every: only at steps 0, every, 2 every, .., and then `every` times as strong (lazy regularisation).
    Raises ValueError on weights below 0 and every below 1.
    Source: Mescheder et al. 2018, Eq. 9 and 10 (r1, r2); Gulrajani et al. 2017, Eq. 3 (gradient);
    Karras et al. 2020 (StyleGAN2), Section 3.1 (every).
    """

    def __init__(self, *, r1: float = 0.0, r2: float = 0.0, gradient: float = 0.0, every: int = 1) -> None:
        for name, weight in (("r1", r1), ("r2", r2), ("gradient", gradient)):
            if not weight >= 0:
                raise ValueError(f"penalty.{name} is {weight}; it must be at least 0 (no penalty)")
        if every < 1:
            raise ValueError(f"penalty.every is {every}; it must be at least 1 (every step)")
        self.r1, self.r2, self.gradient, self.every = r1, r2, gradient, every

    def has_weight(self) -> bool:
        """Return True where at least one of the three has a weight, at whatever steps."""
        return self.r1 > 0 or self.r2 > 0 or self.gradient > 0

    def watch(self, real: Tensor, fake: Tensor, *, step: int) -> tuple[Tensor, Tensor]:
        """The images, detached, requiring gradient where a penalty of this step needs the slope there.

        real, fake (B, C, H, W). The discriminator must be called on the returned tensors, and `__call__` gets
        them too.
        """
        due = step % self.every == 0
        return (
            real.detach().requires_grad_(due and self.r1 > 0),
            fake.detach().requires_grad_(due and self.r2 > 0),
        )

    def __call__(
        self, critic: Critic, real: Tensor, fake: Tensor, *, logits: tuple[Tensor, Tensor], step: int
    ) -> Loss:
        """The penalty at a step, of images that `watch` returned and of the discriminator's logits of them.

        critic: the discriminator as a function of images alone. real, fake (B, C, H, W); logits: (B,) of
        each. The terms "r1", "r2" and "gradient" are without weights, of the penalties of this step alone.
        """
        found: dict[str, tuple[float, Tensor]] = {}
        if step % self.every == 0:
            if self.r1:
                found["r1"] = self.r1 / 2, squared_slopes(logits[0], real).mean()
            if self.r2:
                found["r2"] = self.r2 / 2, squared_slopes(logits[1], fake).mean()
            if self.gradient:
                mixed = mix(real, fake)  # the one penalty that needs a pass of its own
                norms = squared_slopes(critic(mixed), mixed).clamp_min(TINY).sqrt()
                found["gradient"] = self.gradient, (norms - 1).square().mean()
        # `every` times as strong at every `every`-th step: the same on average.
        total = torch.zeros((), device=real.device)
        for weight, value in found.values():
            total = total + self.every * weight * value
        return Loss(total, {name: value.detach() for name, (_, value) in found.items()})


def squared_slopes(logits: Tensor, x: Tensor) -> Tensor:
    """|d logit / d image|^2 of each image, differentiable: logits (B,), x (B, C, H, W) -> (B,) float32.

    A logit is taken as a function of its own image alone: where a statistic over the batch mixes images, the
    slopes of all logits by an image are summed.
    """
    (slope,) = torch.autograd.grad(logits.float().sum(), x, create_graph=True)
    return slope.float().square().flatten(1).sum(1)


def mix(real: Tensor, fake: Tensor) -> Tensor:
    """u real + (1 - u) fake, u ~ U(0, 1) for each pair of images, requiring gradient.

    real, fake (B, C, H, W), both detached -> (B, C, H, W).
    """
    u = global_batch.uniform(len(real), (1, 1, 1), device=real.device)
    return torch.lerp(fake.detach(), real.detach(), u).requires_grad_()
