"""Laws of every transform, and flows to hold to them."""

import torch
from torch import Tensor, nn

from genbench.flows.architectures import Glow, RealNVP
from genbench.flows.coupling import Affine, CouplingFunction
from genbench.flows.pixels import Plain
from genbench.flows.transform import Transform
from genbench.nn.coupling import ConvNets

Shape = tuple[int, int, int]


def shaken(module: nn.Module, size: float = 0.2, seed: int = 0) -> nn.Module:
    """The module in float64 with noise on every weight, so that nothing is the identity."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=rng))
    return module.double().eval()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pixels(n: int, shape: Shape, seed: int = 1) -> Tensor:
    """Dequantized images in (1, 255)."""
    rng = torch.Generator().manual_seed(seed)
    return 1 + 254 * torch.rand(n, *shape, generator=rng, dtype=torch.float64)


def jacobian_log_det(transform: Transform, x: Tensor, y: Tensor | None = None) -> Tensor:
    """log |det dz/dx| of each image by autograd: (B,)."""
    values = []
    for k in range(len(x)):
        label = None if y is None else y[k : k + 1]
        jacobian = torch.autograd.functional.jacobian(lambda v, of=label: transform(v, of)[0], x[k : k + 1])
        values.append(torch.linalg.slogdet(jacobian.reshape(x[0].numel(), -1)).logabsdet)
    return torch.stack(values)


def small_glow(
    shape: Shape, num_classes: int = 0, *, function: CouplingFunction | None = None, levels: int = 2
) -> Glow:
    networks = ConvNets(num_classes, width=8)
    return Glow(
        shape, pixels=Plain(), coupling=function or Affine(2.0), networks=networks, levels=levels, steps=2
    )


def small_realnvp(shape: Shape, num_classes: int = 0) -> RealNVP:
    networks = ConvNets(num_classes, width=8)
    return RealNVP(shape, pixels=Plain(), coupling=Affine(2.0), networks=networks, levels=2, steps=2)
