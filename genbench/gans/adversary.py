"""A discriminator of reconstructions beside an autoencoder: its own loss, its share of the autoencoder's, and
the weight that balances the two.
"""

import torch
from torch import Tensor, nn

from genbench.gans.criterion import Criterion
from genbench.gans.penalty import Penalties
from genbench.probability.loss import Loss
from genbench.runtime import global_batch

__all__ = ["DISC", "Adversary", "last_layer", "no_adversary"]

DISC = "disc"
"""The phase that trains the discriminator, after that of the autoencoder on the same step."""


class Adversary(nn.Module):
    """The loss of an autoencoder becomes L + weight lambda G, where G is criterion.gen of reconstructions and

        lambda = |dL/dw| / (|dG/dw| + delta), at most `most`,

    w the last layer of the decoder: both losses pull it alike, whatever their scales. A phase "disc" trains
    the discriminator on images and their reconstructions by criterion.disc.
    discriminator: images (B, C, H, W) -> logits, (B,) or a map of them for each image.
    start: share of the autoencoder's training before which there is neither phase nor term: first it learns
    to reconstruct. Both go in steps: the learning rate of both begins anew there. 0: from the beginning on.
    Raises ValueError on numbers outside their range.
    Source: Esser et al. 2021 (VQGAN), Eq. 6 and 7; the bound, 0.8 and 1e-4 are those of their code. Apart
    from it: lambda is that of the step before (0 in the first), so that all parts of a batch share one; start
    is a share, since a budget in seconds has no number of steps.
    """

    balance: Tensor

    def __init__(
        self,
        discriminator: nn.Module,
        criterion: Criterion,
        *,
        weight: float = 0.8,
        start: float = 0.5,
        delta: float = 1e-4,
        most: float = 1e4,
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"adversarial.weight is {weight}; it must be at least 0 (no effect), e.g. 0.8")
        if not 0 <= start < 1:
            raise ValueError(f"adversarial.start is {start}; it must be at least 0 and below 1, e.g. 0.5")
        for name, value in (("delta", delta), ("most", most)):
            if not value > 0:
                raise ValueError(f"adversarial.{name} is {value}; it must be above 0")
        self.discriminator, self.criterion = discriminator, criterion
        self.weight, self.start, self.delta, self.most = weight, start, delta, most
        self.is_active = start == 0
        # lambda of the next step; checkpoints hold it, so that a resumed training has it too.
        self.register_buffer("balance", torch.zeros(()))
        self.gradients = global_batch.StepRows()

    def check(self) -> None:
        """Raise ValueError where the criterion is undefined for this discriminator, which has no penalty."""
        self.criterion.check(self.discriminator, Penalties())

    def stages(self, phase: str) -> list[tuple[float, tuple[str, ...]]]:
        """Return the stages of an autoencoder's training, whose own phase is `phase`: the share and the
        phases of each, first without the discriminator, then with it.
        """
        both = (1 - self.start, (phase, DISC))
        return [(self.start, (phase,)), both] if self.start else [both]

    def begin_step(self, spent: float) -> None:
        """Set whether the term is there in the next step, by the share of the autoencoder's training that is
        spent, 0 to 1."""
        self.is_active = spent >= self.start

    def generator_loss(self, loss: Loss, fake: Tensor, real: Tensor, *, last: nn.Parameter) -> Loss:
        """Add the adversarial term to an autoencoder's loss of images `real`, whose reconstructions are
        `fake`, (B, C, H, W) each; in evaluation mode it is not added, so that validations compare.

        last: the weights of the decoder's last layer, whose gradients set lambda of the next step.
        """
        if not (self.is_active and self.training):
            return loss
        real_logits = None
        if self.criterion.compares:
            with torch.no_grad():
                real_logits = self.discriminator(real)
        adversarial = self.criterion.gen(self.discriminator(fake), real_logits)
        balance = self.balance.clone()  # of this step; `follow` moves it to the next one's
        if torch.is_grad_enabled() and last.requires_grad:
            self.follow(loss.total, adversarial, last)
        terms = {"adversarial": adversarial.detach(), "adversarial_weight": self.weight * balance}
        return Loss(loss.total + self.weight * balance * adversarial, {**loss.terms, **terms})

    def follow(self, total: Tensor, adversarial: Tensor, last: nn.Parameter) -> None:
        """Set lambda by the gradients of both losses, () each, at the last layer: once a step, by the means
        over all parts of the batch.
        """
        slopes = [torch.autograd.grad(each, last, retain_graph=True)[0] for each in (total, adversarial)]
        rows = self.gradients.complete([slope.float().flatten()[None] for slope in slopes])
        if rows is not None:
            ours, theirs = (row.mean(0).norm() for row in rows)
            ratio = (ours / (theirs + self.delta)).clamp(max=self.most)
            # A batch that is not finite makes no update, and must not leave a weight either.
            self.balance.copy_(torch.where(ratio.isfinite(), ratio, self.balance))

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Loss:
        """Compute the loss of phase "disc" on images and their reconstructions, (B, C, H, W) each; no
        gradient passes to the latter. The terms have the mean logits of both, and how many are right.
        """
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake.detach())
        terms = {
            "real_logits": real_logits.detach().mean(),
            "fake_logits": fake_logits.detach().mean(),
            "real_accuracy": (real_logits > 0).float().mean(),
            "fake_accuracy": (fake_logits < 0).float().mean(),
        }
        return Loss(self.criterion.disc(real_logits, fake_logits), terms)


def no_adversary() -> None:
    """Make no discriminator: an autoencoder is trained by its own loss alone (adversarial=none)."""


def last_layer(network: nn.Module) -> nn.Parameter:
    """Return the weights of a network's last layer: the last parameter of two or more dimensions, in the
    order in which the network was made. Raises ValueError where it has none.
    """
    weights = [p for p in network.parameters() if p.dim() >= 2]
    if not weights:
        raise ValueError(f"{type(network).__name__} has no layer of weights, whose gradients balance losses")
    return weights[-1]
