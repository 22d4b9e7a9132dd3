"""Masked models of three binary tokens, of which everything can be summed: 8 images, 27 states, 6 orders."""

import itertools
import math
from functools import cached_property

import torch
from torch import Tensor, nn

from genbench.autoregressive.masking import LinearMasking
from genbench.autoregressive.network import MaskedNetwork
from genbench.autoregressive.pixel_law import Categorical
from genbench.autoregressive.unmasking import Ancestral, Unmasking
from genbench.families.masked_diffusion import MaskedDiffusion

SHAPE, N = (1, 1, 3), 3
MASK = 2  # the level of a masked token in a state
STATES = list(itertools.product((0, 1, MASK), repeat=N))
IMAGES = list(itertools.product((0, 1), repeat=N))


class Table(MaskedNetwork):
    """A network with free answers for each state: logits (27, N, 2)."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(SHAPE, 0, Categorical(2))
        self.logits = nn.Parameter(logits)

    @cached_property
    def table(self) -> Tensor:
        """The probabilities of the values of each token in each state: (27, N, 2) float64."""
        return self.logits.detach().double().softmax(-1)

    def forward(self, x: Tensor, masked: Tensor, y: Tensor | None = None) -> Tensor:
        level = self.law.to_level(self.to_tokens(x))[..., 0].masked_fill(masked, MASK)
        return self.logits[(level * torch.tensor([9, 3, 1])).sum(1)]

    def p(self, state: tuple[int, ...]) -> Tensor:
        """The probabilities of the values of each token in a state: (N, 2) float64."""
        return self.table[STATES.index(state)]


def arbitrary(seed: int = 0) -> Table:
    """Conditionals of no joint distribution."""
    return Table(2 * torch.randn(27, N, 2, generator=torch.Generator().manual_seed(seed)))


def true_conditionals(p: Tensor) -> Table:
    """The conditionals of a distribution p (8,) over the images."""
    weight = torch.zeros(27, N, 2)
    for s, state in enumerate(STATES):
        for image, mass in zip(IMAGES, p, strict=True):
            if all(a in (b, MASK) for a, b in zip(state, image, strict=True)):
                weight[s, range(N), image] += mass
    return Table((weight + 1e-30).log())


def model(
    network: MaskedNetwork, unmasking: Unmasking | None = None, *, terms: int | None = 10
) -> MaskedDiffusion:
    """A model of a table, in evaluation mode."""
    sampler = unmasking or Ancestral(LinearMasking())
    return MaskedDiffusion(SHAPE, 0, network=network, unmasking=sampler, terms=terms).eval()


def images() -> Tensor:
    """All images: (8, 1, 1, 3)."""
    return torch.tensor(IMAGES).float().view(8, *SHAPE) * 2 - 1


def masked_nats(net: Table, image: tuple[int, ...]) -> dict[tuple[int, ...], float]:
    """For each set of masked tokens, the cross entropy summed over them."""
    sets = [s for m in range(1, N + 1) for s in itertools.combinations(range(N), m)]
    return {s: -sum(math.log(net.p(hide(image, s))[i, image[i]]) for i in s) for s in sets}


def hide(image: tuple[int, ...], masked: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(MASK if i in masked else v for i, v in enumerate(image))


def order_log_probs(net: Table, image: tuple[int, ...]) -> Tensor:
    """log p of an image in each of the six orders: (6,) float64."""
    found = []
    for order in itertools.permutations(range(N)):
        terms = [net.p(hide(image, order[k:]))[order[k], image[order[k]]] for k in range(N)]
        found.append(torch.stack(terms).log().sum())
    return torch.stack(found)


def exact_bound(net: Table) -> Tensor:
    """The bound on log p of each image, the mean over the orders: (8,) float64."""
    return torch.stack([order_log_probs(net, image).mean() for image in IMAGES])


def shares(drawn: Tensor) -> Tensor:
    """Counts of each of the 8 images among draws (n, 1, 1, 3): (8,) float64."""
    index = ((drawn.flatten(1) > 0).long() * torch.tensor([4, 2, 1])).sum(1)
    return index.bincount(minlength=8).double()


def assert_drawn_from(found: Tensor, p: Tensor) -> None:
    """Pearson's chi-square of counts (8,) below its quantile of 1 - 1e-6 at seven degrees of freedom."""
    wanted = p.double() * found.sum()
    assert float(((found - wanted).square() / wanted).sum()) < 40.5
