"""The pairing of noise with images, between which straight paths are trained."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from genbench.text.condition import Conditioning

__all__ = ["Independent", "OptimalTransport", "Pairing"]


class Pairing(nn.Module, ABC):
    """The joint distribution of images and noise that a flow is trained on; abstract.

    Any pairing whose marginals are the data and N(0, I) leaves the distribution of samples unchanged; it
    decides how straight the learned paths are. Reflow, which pairs by a learned flow, is in `reflow`.
    """

    shares: Mapping[str, float] = MappingProxyType({})
    """Phase -> its share of the budget, for phases that follow one another; empty: there is one phase."""
    why_unaugmented: str = ""
    """The reason why its images cannot be changed by an augmentation; empty where they can."""

    def adopt(self, network: nn.Module) -> None:
        """Create buffers of the size of the network that learns the pairs; by default there are none."""

    @abstractmethod
    def pairs(
        self, x0: Tensor, eps: Tensor, *, network: nn.Module, y: Conditioning, phase: str
    ) -> tuple[Tensor, Tensor]:
        """Return images and the noise that is paired with each, given both as drawn: (B, C, H, W) twice.

        network: the one that learns from the pairs in this phase, with labels y (B,).
        """


class Independent(Pairing):
    """Images and noise as they were drawn, p(x0, eps) = p(x0) N(eps; 0, I)."""

    def pairs(
        self, x0: Tensor, eps: Tensor, *, network: nn.Module, y: Conditioning, phase: str
    ) -> tuple[Tensor, Tensor]:
        return x0, eps


class OptimalTransport(Pairing):
    """The permutation of the noise with the least sum of |x0 - eps|^2 over the batch, by linear assignment.

    Paths then cross less, and are straighter. The assignment runs on the host, so that each step waits for
    the device. Source: Tong et al. 2024, Section 3.2.4; Pooladian et al. 2023.
    """

    why_unaugmented = (
        "pairing=optimal_transport gives each image the noise that is near to it, so that noise would tell "
        "changed images from unchanged ones, and samples, which start from all noise, would show the changes"
    )

    def pairs(
        self, x0: Tensor, eps: Tensor, *, network: nn.Module, y: Conditioning, phase: str
    ) -> tuple[Tensor, Tensor]:
        from scipy.optimize import linear_sum_assignment  # slow to import, and every command imports flows

        # In float32: under bfloat16 distances of neighbours would be ties.
        cost = torch.cdist(x0.flatten(1).float(), eps.flatten(1).float()).square()
        _, order = linear_sum_assignment(cost.cpu().numpy())
        return x0, eps[torch.from_numpy(order).to(eps.device)]
