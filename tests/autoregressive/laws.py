"""Laws of every network that draws token by token, and networks to hold to it."""

import itertools

import torch
from torch import Tensor, nn

from genbench.autoregressive.network import Cache, CausalNetwork
from genbench.autoregressive.palette import Palette
from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from genbench.nn.image_gpt import ImageGPT
from genbench.nn.pixelcnn import PixelCNN
from genbench.nn.pixelcnn_pp import PixelCNNPlusPlus

Shape = tuple[int, int, int]


def shaken(module: CausalNetwork, size: float = 0.3, seed: int = 0) -> CausalNetwork:
    """The network with noise on every weight, so that no answer is 0."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=rng))
    return module.eval()


def pixelcnn(shape: Shape, classes: int, law: PixelLaw) -> CausalNetwork:
    return shaken(PixelCNN(shape, classes, law=law, width=12, blocks=4))


def image_gpt(shape: Shape, classes: int, law: PixelLaw) -> CausalNetwork:
    return shaken(ImageGPT(shape, classes, law=law, width=12, blocks=2, heads=3))


def pixelcnn_pp(shape: Shape, classes: int, law: PixelLaw) -> CausalNetwork:
    return shaken(PixelCNNPlusPlus(shape, classes, law=law, width=6, blocks=1, resolutions=2))


def palette(shape: Shape, size: int = 4) -> Palette:
    """A palette of random colours."""
    law = Palette(shape, size=size)
    law.colours.copy_(torch.rand(law.colours.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    return law


NETWORKS = (pixelcnn, image_gpt)
CASES = [
    (make, shape, law, classes)
    for make in NETWORKS
    for shape in ((1, 4, 3), (3, 2, 4))
    for law in (Categorical(5), LogisticMixture(2), Categorical(5, ordered=False), palette(shape))
    for classes in (0, 3)
]
CASES += [
    (pixelcnn_pp, (1, 4, 3), Categorical(5, ordered=False), 0),
    (pixelcnn_pp, (3, 2, 4), LogisticMixture(2), 3),
    (pixelcnn_pp, (3, 2, 4), palette((3, 2, 4)), 0),
]
"""Networks of all kinds; of tokens that are pixels or channels, numbers or names; with labels or without."""


def images(n: int, shape: Shape, law: PixelLaw, seed: int = 1) -> Tensor:
    """Images of the levels of a law."""
    rng, symbols = torch.Generator().manual_seed(seed), 1 if isinstance(law, Palette) else shape[0]
    level = torch.randint(law.levels, (n, symbols, *shape[1:]), generator=rng)
    return law.to_value(level.movedim(1, -1)).movedim(-1, 1).contiguous()


def labels(n: int, classes: int) -> Tensor | None:
    return torch.arange(n) % classes if classes else None


def all_images(shape: Shape, law: PixelLaw) -> Tensor:
    """Every image that there is: (L^N, C, H, W)."""
    symbols = 1 if isinstance(law, Palette) else shape[0]
    size = symbols * shape[1] * shape[2]
    level = torch.tensor(list(itertools.product(range(law.levels), repeat=size)))
    return law.to_value(level.view(-1, symbols, *shape[1:]).movedim(1, -1)).movedim(-1, 1).contiguous()


def dependence(network: CausalNetwork, x: Tensor, y: Tensor | None, wrt: nn.Module | None) -> Tensor:
    """|gradient| of the answer for token i with respect to token j, summed: (N, N').

    wrt: the module whose output the tokens enter by, (1, N', ..); None: the image itself.
    """
    entered: list[Tensor] = []
    x = x.clone().requires_grad_()
    hook = wrt.register_forward_hook(lambda _, __, out: entered.append(out)) if wrt else None
    answers = network(x, y)[0]
    if hook:
        hook.remove()
    weights = torch.randn(answers.shape, generator=torch.Generator().manual_seed(0), dtype=answers.dtype)
    source = entered[0] if entered else x
    rows = []
    for answer in (answers * weights).sum(1):
        (gradient,) = torch.autograd.grad(answer, source, retain_graph=True)
        rows.append((gradient if wrt else network.to_tokens(gradient))[0].flatten(1).abs().sum(1))
    return torch.stack(rows)


def one_by_one(network: CausalNetwork, x: Tensor, y: Tensor | None) -> Tensor:
    """The answers for given images, token after token: (B, N, P)."""
    cache = Cache()
    return torch.cat([network(x, y, cache) for _ in range(network.length)], dim=1)
