"""Reflow, the second stage of rectified flow: training on the pairs that a first flow joins."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genbench.diffusion.ode import Solver
from genbench.diffusion.pairing import Pairing
from genbench.runtime import global_batch
from genbench.runtime.average_rate import new_share
from genbench.text.condition import Conditioning

__all__ = ["Reflow"]


class Reflow(Pairing):
    """Independent pairs for a share of the budget, then pairs (z0, z1) that the flow of that stage joins.

    z1 ~ N(0, I), z0 = z1 + int_0^1 v(z_t, t | y) dt by `solver`, v of the moving average of the first stage's
    weights (halflife_images, rampup: as genbench.training.ema.Ema has them).
    These paths do not cross, so that the flow that learns them is straighter, and the distribution of its
    images is unchanged. Pairs are drawn anew at each step, none are stored; labels are the batch's.
    Raises ValueError on a share outside (0, 1) and on numbers that are not above 0.
    Source: Liu et al. 2023, Algorithm 1 and Section 2.2, which stores its pairs.
    """

    teacher: Tensor
    """The average of the first stage's P weights: (P,), a buffer, so that no optimizer changes it."""
    fresh: Tensor
    """1 + the number of images that the first stage has seen; 0.0 once the second stage began: ()."""
    why_unaugmented = (
        "pairing=reflow trains on images that the first stage draws, which no augmentation has changed"
    )

    def __init__(
        self,
        *,
        solver: Solver,
        share: float = 0.5,
        halflife_images: float = 5000,
        rampup: float | None = 0.05,
    ) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"pairing.share is {share}; it must be between 0 and 1, e.g. 0.5")
        if not halflife_images > 0 or (rampup is not None and not rampup > 0):
            raise ValueError(
                f"pairing.halflife_images is {halflife_images} and pairing.rampup is {rampup}; both must be "
                "above 0, e.g. 5000 and 0.05 (a rampup of null: none)"
            )
        self.solver, self.halflife_images, self.rampup = solver, halflife_images, rampup
        # Phases that follow one another; both train the same network.
        self.shares = {"net": share, "reflow": 1 - share}
        self.register_buffer("fresh", torch.ones(()))

    def adopt(self, network: nn.Module) -> None:
        self.register_buffer("teacher", flat_weights(network))

    def pairs(
        self, x0: Tensor, eps: Tensor, *, network: nn.Module, y: Conditioning, phase: str
    ) -> tuple[Tensor, Tensor]:
        if phase == "net":
            if self.training:
                self.fresh.clamp_(min=1.0)  # a first stage that follows a second one begins anew
                self.follow(network, global_batch.size(len(x0)))
                self.fresh += global_batch.size(len(x0))
            return x0, eps
        if self.training:  # the last step of the first stage counts, later ones do not
            self.follow(network, global_batch.size(len(x0)))
            self.fresh.zero_()
        return self.ends(network, eps, y), eps

    def follow(self, network: nn.Module, images: int) -> None:
        """Move the average towards the weights that the step before, of so many images, has left.

        Once the second stage began the average is fixed: by arithmetic, since reading a flag off a GPU would
        stall every step.
        """
        # The images that the average has seen: `fresh` is one more.
        seen = (self.fresh - 1).clamp(min=0)
        share = new_share(seen, images=images, halflife_images=self.halflife_images, rampup=self.rampup)
        # (fresh > 0) is 0 in the second stage, so that the teacher no longer moves.
        self.teacher.lerp_(flat_weights(network), ((self.fresh > 0) * share).float())

    @torch.no_grad()
    def ends(self, network: nn.Module, z1: Tensor, y: Conditioning) -> Tensor:
        """Integrate the teacher's flow from noise z1 to images z0, (B, C, H, W) each, for labels y (B,)."""
        # The network's own weights are not touched: its code runs on the teacher's.
        weights, learning = self.weights(network), network.training

        def velocity(z: Tensor, t: Tensor) -> Tensor:
            times = z.new_full((len(z),), float(t), dtype=torch.float32)  # t is on the host
            return functional_call(network, weights, (z, times, y)).float()

        network.eval()  # a teacher without dropout
        *_, z0 = self.solver.walk(velocity, z1)
        network.train(learning)
        return z0

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """Split the teacher's weights into tensors of the names and shapes of the network's own."""
        own = dict(network.named_parameters())
        parts = self.teacher.split([p.numel() for p in own.values()])
        return {name: part.view(p.shape) for (name, p), part in zip(own.items(), parts, strict=True)}


def flat_weights(network: nn.Module) -> Tensor:
    """Copy all weights of a network into one vector (P,), in the order of its parameters."""
    return torch.cat([p.detach().flatten() for p in network.parameters()])
