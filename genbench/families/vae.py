"""The variational autoencoder: network of one or several latent layers + likelihood of the pixels."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genbench.gans.adversary import DISC, Adversary
from genbench.gans.realism import Realism
from genbench.generator import BoundTerms, Latent, Likelihood, Loss, Rng, Stage, Y
from genbench.probability.gaussian import gaussian_kl
from genbench.probability.perceptual import Perceptual
from genbench.runtime import global_batch
from genbench.vaes.bound import Inference, beta_at, check_bound_settings, importance_bound, training_terms
from genbench.vaes.likelihood import PixelLikelihood
from genbench.vaes.network import LatentNetwork

__all__ = ["VAE"]


class VAE(Latent, Likelihood, BoundTerms):
    """p(x) = integral of p(x | z) N(z; 0, I) dz, with a Gaussian posterior q(z | x).

    z (B, L) holds all latent layers of the network, several of them in whitened coordinates (see
    genbench.vaes.network), so that the prior is N(0, I) and decoding takes one pass.
    loss: (reconstruction + beta KL) / D, see genbench.vaes.bound; beta rises over `warmup_steps` steps, and
    each latent dimension has `free_nats` of KL for free. A sample is the mean of p(x | z).
    log_prob: the ELBO for importance_samples = 1, the importance-weighted bound for more, both at beta = 1.
    encode is the posterior mean, layer by layer given the means above.
    temperature: the factor of the priors' deviations in sampling, layer by layer; 1 is the model.
    perceptual, adversarial: terms of the loss beside the bound, on images decoded from the posterior, see
    genbench.gans.realism; the discriminator has a phase "disc" of its own. log_prob is the same bound.
    Raises ValueError on numbers outside their range.
    Source: Kingma & Welling 2014; several layers: Sonderby et al. 2016, Child 2021; temperature: Vahdat &
    Kautz 2020 (NVAE), Section 4.1; further terms: Rombach et al. 2022, Eq. 25.
    """

    bound = "lower"

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        network: LatentNetwork,
        likelihood: PixelLikelihood,
        beta: float = 1.0,
        warmup_steps: int = 0,
        free_nats: float = 0.0,
        importance_samples: int = 1,
        temperature: float = 1.0,
        perceptual: Perceptual | None = None,
        adversarial: Adversary | None = None,
    ) -> None:
        super().__init__(shape, num_classes)
        if not temperature >= 0:
            raise ValueError(f"model.temperature is {temperature}; it must be at least 0, e.g. 1.0")
        check_bound_settings(beta, warmup_steps, free_nats, importance_samples)
        self.network, self.likelihood = network, likelihood
        self.latent_shape = (network.latent,)
        self.beta, self.warmup_steps, self.free_nats = beta, warmup_steps, free_nats
        self.importance_samples, self.temperature = importance_samples, temperature
        self.method = "elbo" if importance_samples == 1 else f"iwae-{importance_samples}"
        self.realism = Realism(perceptual, adversarial)
        self.phases = self.realism.phases("net")
        if adversarial is not None:
            self.stages = tuple(Stage(*stage) for stage in self.realism.stages("net"))

    def check_trainable(self) -> None:
        x, y = self.example()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            inference: Inference = self.network(torch.zeros(1, *self.latent_shape), x, y)
        self.likelihood.check(inference.output, x)
        self.realism.check(x)

    def networks(self) -> list[nn.Module]:
        """Return the network alone: sampling needs no perceptual network and no discriminator, which compute
        in float32 too."""
        return [self.network]

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        if phase == DISC:
            return self.realism.parameters_of_disc()
        return [*self.network.parameters(), *self.likelihood.parameters()]

    def check_replayable(self) -> None:
        if self.warmup_steps > 1 or self.stages:
            raise ValueError(
                f"trainer.cuda_graphs records a step once, and model.warmup_steps={self.warmup_steps} or the "
                "discriminator changes the loss between steps: use model.warmup_steps=0 without a "
                "discriminator, or trainer.cuda_graphs=false"
            )

    def begin_step(self, spent: float) -> None:
        self.realism.begin_step(spent)

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        if phase == DISC:
            with torch.no_grad():
                fake = self.likelihood.mean(self.infer(x, y).output)
            return self.realism.discriminator_loss(x, fake)
        beta = beta_at(step, self.beta, self.warmup_steps)
        q = self.infer(x, y)
        loss = training_terms(q, x, self.likelihood, beta=beta, free_nats=self.free_nats)
        return self.realism(loss, lambda: self.likelihood.mean(q.output), x, self.network)

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        k = self.importance_samples
        return importance_bound(lambda: self.infer(x, y), x, self.likelihood, samples=k)

    @torch.no_grad()
    def bound_terms(self, x: Tensor, y: Y = None) -> Iterator[Tensor]:
        """Yield -log p(x | z), then the KL of each layer of latents, from the finest to the coarsest: (B,)
        nats each. They sum to the negative ELBO of one draw of z, whatever `importance_samples` is.
        """
        self.check_batch(x, y)
        if len(self.network.layers()) == 1:
            raise ValueError(
                "this model has no bound that is a sum over steps, but a single layer of latents: "
                "network=deep_ladder and ladder have several"
            )
        q = self.infer(x, y)
        yield -self.likelihood.log_prob(q.output, x)
        for kl in reversed(gaussian_kl(q.mu, q.logvar).split(self.network.layers(), dim=1)):
            yield kl.sum(1)

    def prior(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        device = next(self.network.parameters()).device
        return self.temperature * global_batch.normal(n, self.latent_shape, rng=rng, device=device)

    def latent_map(self) -> tuple[int, int, int]:
        return self.network.map_shape()

    def encode(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        # Noise 0: every layer takes its mean.
        mean: Inference = self.network(torch.zeros(len(x), *self.latent_shape, device=x.device), x, y)
        return mean.z

    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        self.check_labels(y, len(z))
        return self.likelihood.mean(self.network(z, y=y).output)

    def infer(self, x: Tensor, y: Y) -> Inference:
        """Draw every latent layer of x (B, C, H, W) from its posterior, and decode."""
        return self.network(global_batch.normal(len(x), self.latent_shape, device=x.device), x, y)
