"""Exponential moving average of a model's weights, by half-lives in images; it is what runs are evaluated by,
beside the raw weights at the end.
"""

import copy

import torch
from torch import Tensor, nn

from genbench.generator import Generator
from genbench.runtime.average_rate import new_share_of_count

__all__ = ["Ema", "learned_weights"]


class Ema:
    """A copy of a model that follows it: ema <- ema + share (weight - ema), share by `new_share_of_count`.

    halflife_images: images after which a weight's share has halved.
    rampup: bounds the half-life to this share of the images seen, or the random start would dominate a
    short training (None: no bound). Buffers are copied.
    """

    def __init__(self, model: Generator, *, halflife_images: float, rampup: float | None = 0.05) -> None:
        # What is not trained is its own average: a copy would take its gigabytes once more.
        self.model = (copy.deepcopy(model) if model.phases else model).requires_grad_(False).eval()
        # Listed once: to walk through the modules takes longer than all of the arithmetic. Frozen weights
        # from elsewhere, which copies share, are their own average.
        pairs = zip(self.model.parameters(), model.parameters(), strict=True)
        own: list[tuple[Tensor, Tensor]] = [(mine, its) for mine, its in pairs if mine is not its]
        self.parameters = [mine for mine, _ in own], [its for _, its in own]
        copies = zip(self.model.buffers(), model.buffers(), strict=True)
        copied = [(mine, its) for mine, its in copies if mine is not its]
        self.buffers = [mine for mine, _ in copied], [its for _, its in copied]
        self.halflife_images, self.rampup = halflife_images, rampup

    @torch.no_grad()
    def update(self, *, images: int, images_seen: int) -> None:
        """Move the average towards the model after a step of `images` images, the last of `images_seen`: ema
        <- ema + share (weight - ema); buffers are copied.
        """
        share = new_share_of_count(
            images_seen, images=images, halflife_images=self.halflife_images, rampup=self.rampup
        )
        # All parameters by a few kernels: one call for each would take longer than a small step.
        torch._foreach_lerp_(*self.parameters, share)
        self.copy_buffers()

    @torch.no_grad()
    def copy_buffers(self) -> None:
        """Set the average's buffers to the model's. It undoes what was fitted to the averaged weights for
        pictures or scores during training, so that checkpoints do not depend on them.
        """
        if self.buffers[0]:
            torch._foreach_copy_(*self.buffers)


def learned_weights(model: Generator) -> dict[str, nn.Parameter]:
    """Return the parameters that some phase of a model trains, by their names; frozen weights, such as
    those of a part from another run, are none of them.
    """
    learned = {id(weight) for phase in model.phases for weight in model.phase_parameters(phase)}
    return {name: weight for name, weight in model.named_parameters() if id(weight) in learned}
