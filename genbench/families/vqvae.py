"""The vector-quantised autoencoder: images as small maps of codes, and a prior over these maps."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genbench.autoregressive.network import CausalNetwork
from genbench.autoregressive.pixel_law import Categorical
from genbench.gans.adversary import DISC, Adversary
from genbench.gans.realism import Realism
from genbench.generator import (
    Generator,
    Latent,
    Likelihood,
    Loss,
    Rng,
    Stage,
    Trajectory,
    Y,
    check_frames,
)
from genbench.probability.perceptual import Perceptual
from genbench.runtime import global_batch
from genbench.vaes.codebook import Codebook, perplexity
from genbench.vaes.likelihood import PixelLikelihood

__all__ = ["VQVAE"]


class VQVAE(Latent, Likelihood, Trajectory):
    """Encoder to a map of L numbers a position, each position replaced by its nearest code, decoder; a prior.

    The training has two stages. Phase "autoencoder", for a share of the budget: encoder and decoder by
    loss = -log p(x | decoder(codes)) / D + commitment * |z_e - sg[codes]|^2 / L, averaged over positions,
    while the codebook itself follows the batch by moving averages. Phase "net": the prior over the maps of
    code indices k (B, h, w), which it sees as images (1, h, w) whose levels are the codes.
    prior_network, prior: called here, since the size of the maps follows from the encoder:
    prior_network(shape=(1, h, w), ..) with the distribution of the indices, and
    prior(shape=(1, h, w), num_classes=K, network=..), a model with a likelihood. Without them the prior is
    uniform and there is one stage: an autoencoder for other models.
    perceptual, adversarial: terms of the autoencoder's loss beside the likelihood, see genbench.gans.realism;
    the discriminator has a phase "disc" of its own.
    The latent is the map of codes (B, L, h, w). A sample is the mean of p(x | codes).
    log_prob: log p(x | k(x)) + log p(k(x)), one term of the sum over all maps of codes, hence a lower bound:
    the ELBO of a posterior of probability 1 at k(x).
    Raises ValueError where sizes of the parts differ, on one prior argument without the other, and on numbers
    outside their range.
    Source: van den Oord et al. 2017, Eq. 3 and Section 3.3; here the reconstruction counts for each
    dimension, D = C H W; further terms: Esser et al. 2021 (VQGAN), Eq. 5 to 7.
    """

    bound = "lower"
    method = "codes"

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: PixelLikelihood,
        codebook: Codebook,
        commitment: float = 0.25,
        prior_network: Callable[..., CausalNetwork] | None = None,
        prior: Callable[..., Generator] | None = None,
        share: float = 0.5,
        perceptual: Perceptual | None = None,
        adversarial: Adversary | None = None,
    ) -> None:
        super().__init__(shape, num_classes)
        if not commitment >= 0:
            raise ValueError(f"model.commitment is {commitment}; it must be at least 0, e.g. 0.25")
        if not 0 < share < 1:
            raise ValueError(f"model.share is {share}; it must be between 0 and 1, e.g. 0.5")
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.codebook, self.commitment = codebook, commitment
        with torch.no_grad():
            self.latent_shape = tuple(encoder(*self.example()).shape[1:])
        if self.latent_shape[0] != codebook.dimensions:
            raise ValueError(
                f"the encoder answers {self.latent_shape[0]} numbers a position, and "
                f"model.codebook.dimensions is {codebook.dimensions}: set network.encoder.out_channels to it"
            )
        self.code_distribution = Categorical(codebook.size, ordered=False)
        self.realism = Realism(perceptual, adversarial)
        self.phases = self.realism.phases("autoencoder")
        self.prior_model: Generator | None = None
        if prior is not None and prior_network is not None:
            # The prior models one channel, whose levels are the indices of codes.
            maps = (1, *self.latent_shape[1:])
            net = prior_network(shape=maps, law=self.code_distribution)
            self.prior_model = prior(shape=maps, num_classes=num_classes, network=net)
            later = self.prior_model.phases
            self.stages = (*self.coding_stages(share), Stage(1 - share, later))
            self.phases += later
        elif prior is not None or prior_network is not None:
            raise ValueError("model.prior and model.prior_network must be given together, or not at all")
        elif adversarial is not None:
            self.stages = self.coding_stages(1.0)
        self.share = share if self.prior_model else 1.0  # of the budget, for the autoencoder

    def coding_stages(self, share: float) -> tuple[Stage, ...]:
        """Return the stages of the autoencoder, which together have a `share` of the budget."""
        return tuple(Stage(share * own, phases) for own, phases in self.realism.stages("autoencoder"))

    def check_trainable(self) -> None:
        x, y = self.example()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            self.likelihood.check(self.decoder(torch.zeros(1, *self.latent_shape), y), x)
        self.realism.check(x)

    def networks(self) -> list[nn.Module]:
        return [self.encoder, self.decoder, *(self.prior_model.networks() if self.prior_model else [])]

    def autocast_networks(self) -> list[nn.Module]:
        prior = self.prior_model.autocast_networks() if self.prior_model else []
        return [self.encoder, self.decoder, *prior]

    def begin_step(self, spent: float) -> None:
        self.realism.begin_step(min(spent / self.share, 1.0))

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        if phase == DISC:
            return self.realism.parameters_of_disc()
        if self.prior_model and phase != "autoencoder":
            return self.prior_model.phase_parameters(phase)
        return [p for part in (self.encoder, self.decoder, self.likelihood) for p in part.parameters()]

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        # In the prior's phase the autoencoder answers as it will in sampling.
        for part in (self.encoder, self.decoder, self.codebook):
            part.train(self.training and phase in ("autoencoder", DISC))
        if phase == DISC:
            with torch.no_grad():
                fake = self.likelihood.mean(self.decoder(self.codebook(self.encoder(x, y)).z, y))
            return self.realism.discriminator_loss(x, fake)
        if not self.prior_model or phase == "autoencoder":
            return self.coding_loss(x, y)
        with torch.no_grad():
            # Indices as levels in [-1, 1], as the prior takes images.
            maps = self.code_distribution.to_value(self.index(x, y))
        return self.prior_model.loss(maps, y, phase=phase, step=step)

    def coding_loss(self, x: Tensor, y: Y) -> Loss:
        """Compute the loss of encoder and decoder on images x (B, C, H, W), labels y (B,) or None.

        In training mode the codebook is updated by the batch. The terms have the perplexity of its use.
        """
        q = self.codebook(self.encoder(x, y))
        output = self.decoder(q.z, y)
        reconstruction = self.likelihood.training_nats(output, x).mean()
        total = reconstruction / x[0].numel() + self.commitment * q.commitment
        terms = {
            "reconstruction": reconstruction.detach(),
            "commitment": q.commitment.detach(),
            "perplexity": perplexity(q.index, self.codebook.size),
        }
        return self.realism(Loss(total, terms), lambda: self.likelihood.mean(output), x, self.decoder)

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        index = self.index(x, y)
        output = self.decoder(self.codebook.look_up(index[:, 0]), y)
        return self.likelihood.log_prob(output, x) + self.index_log_prob(index, y)

    def index_log_prob(self, index: Tensor, y: Y) -> Tensor:
        """log p(k | y) of maps of code indices by the prior: (B, 1, h, w) int64 -> (B,) nats."""
        if not self.prior_model:  # uniform over the codes of each position
            return -math.log(self.codebook.size) * torch.ones_like(index, dtype=torch.float32).sum((1, 2, 3))
        assert isinstance(self.prior_model, Likelihood)
        return self.prior_model.log_prob(self.code_distribution.to_value(index), y)

    def index(self, x: Tensor, y: Y) -> Tensor:
        """Return the index of the code nearest to the encoder's answer at each position: (B, 1, h, w)."""
        return self.codebook.nearest(self.encoder(x, y).float().movedim(1, -1))[:, None]

    def prior(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        if self.prior_model:
            index = self.code_distribution.to_level(self.prior_model.sample(n, y, rng=rng))[:, 0]
        else:
            size, maps = self.codebook.size, self.latent_shape[1:]
            device = self.codebook.codes.device
            index = global_batch.integers(n, maps, low=0, high=size, rng=rng, device=device)
        return self.codebook.look_up(index)

    @torch.no_grad()
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Draw samples and return what their maps of codes decode to on the way, each position that is not
        drawn yet at the middle code: (frames, n, C, H, W).

        Codes of a prior that draws in one step have no states on the way: all frames are the samples.
        """
        check_frames(frames)
        if not isinstance(self.prior_model, Trajectory):
            return self.sample(n, y, rng=rng).expand(frames, n, *self.shape)
        maps = self.prior_model.trajectory(n, y, rng=rng, frames=frames)
        levels = [self.code_distribution.to_level(state)[:, 0] for state in maps]
        return torch.stack([self.decode(self.codebook.look_up(index), y) for index in levels])

    def encode(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        return self.codebook.look_up(self.index(x, y)[:, 0])

    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        self.check_labels(y, len(z))
        # Latents between codes, such as interpolations, are moved to the nearest; codes are unchanged.
        z = self.codebook.look_up(self.codebook.nearest(z.movedim(1, -1)))
        return self.likelihood.mean(self.decoder(z, y))
