"""Energy of fine detail in samples, over that of real images: below 1 where samples are blurred."""

import torch
from torch import Tensor

from genbench.metrics.reference import Reference
from genbench.metrics.scores.interval import Influences, at_least_0
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["Sharpness", "laplacian_energies"]

SMALLEST_SIDE = 3  # of an image that has an inner pixel
BLOCK = 1024  # images at a time, which bounds the memory of their float64 copies
CPU = torch.device("cpu")


class Sharpness(Distance):
    """Mean energy of the Laplacian of at most 10,000 samples, over that of as many real images.

    s = mean_i e(u_i) / mean_j e(x_j), e(u) = mean over inner pixels of ((L * u) / 255)^2, see
    `laplacian_energies`. 1 for the real images themselves, below 1 for blurred images, 0 for constant ones.
    Neither way is better: pixel noise is sharper than any photograph, so a value above 1 shows noise. No
    value for images below 3x3 pixels, and none where the real images are constant.
    Source: the focus measure of Pech-Pacheco et al. 2000, who take the variance of the Laplacian in place of
    its mean square: these agree up to the square of its mean, which is near 0 in images.
    """

    key = "sharpness"
    kinds = (KINDS["sharpness"],)
    on_features = False

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        if min(drawn.images.shape[-2:]) < SMALLEST_SIDE:
            return {}
        blocks = reference.index.split(BLOCK)
        real = torch.cat([laplacian_energies(reference.images.gather(x, CPU)[0]) for x in blocks]).mean()
        if real == 0:
            return {}
        energies = torch.cat([laplacian_energies(part) for part in drawn.images.split(BLOCK)]) / real
        name = drawn.name("sharpness", ref=reference.split, n=len(energies), protocol="pixels")
        influences = Influences(energies, scale=at_least_0)
        return drawn.scored(name, float(energies.mean()), influences=influences)


def laplacian_energies(images: Tensor) -> Tensor:
    """Return e(u) of each image (N, C, H, W) uint8, H, W >= 3: the mean over channels and inner pixels of
    ((u_up + u_down + u_left + u_right - 4 u) / 255)^2, (N,) float64.

    Of independent pixels of variance v (in units of 255^2) its expectation is 20 v, and after a convolution
    with a kernel k it is |k * L|^2 v, L the kernel of five points. Border pixels lack neighbours and are only
    neighbours themselves, since any padding would add edges that the image does not have.
    """
    u = images.double() / 255
    inner = u[..., 1:-1, 1:-1]
    around = u[..., :-2, 1:-1] + u[..., 2:, 1:-1] + u[..., 1:-1, :-2] + u[..., 1:-1, 2:]
    return (around - 4 * inner).square().flatten(1).mean(1)
