"""unCLIP: a prior over embeddings of images, and a diffusion that draws images from them."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from genbench.diffusion.embedding import EmbeddingTokens, StandardEmbedding
from genbench.diffusion.process import Process
from genbench.generator import (
    Condition,
    FitsAfterTraining,
    ForwardProcess,
    Generator,
    Latent,
    Loss,
    Rng,
    Stage,
    Trajectory,
    Y,
    check_frames,
    frame_indices,
)
from genbench.runtime import global_batch
from genbench.text.condition import Encoded
from genbench.text.encoder import TextEncoder

__all__ = ["LatentEncoder", "UnCLIP"]


class UnCLIP(Trajectory, ForwardProcess, FitsAfterTraining, Generator):
    """x ~ p(x | z, text), z ~ p(z | y), where z is the standardised embedding of an image; no likelihood.

    Both are trained in one budget on the embeddings of training images: the prior for a `share` of it, in
    which mean and deviation of embeddings are found, then the decoder, which never meets samples of the
    prior.
    encoder: frozen, images (B, C, H, W) in [-1, 1] -> (B, F).
    prior, prior_network: called here, since F follows from the encoder: prior_network(shape=(F, 1, 1)), then
    prior(shape=(F, 1, 1), num_classes=K, network=.., text=text), any model of images, as if vectors were
    images.
    network, process: of the decoder, network(shape=(C, H, W), num_classes=0, context=E). It attends to z as
    `tokens` vectors of E = `context` numbers, before those of the text. Guidance drops z (to 0, the mean) and
    the text at once.
    text: the encoder of a model of text; the decoder has a copy of it, which learns apart. Labels go to the
    prior alone.
    Raises ValueError on a share that leaves a stage nothing, on an encoder of other images, on parts with
    several phases, and where vectors of the text have another size than those of the embedding.
    Source: Ramesh et al. 2022, Sections 2.1 and 2.2.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        encoder: nn.Module,
        prior: Callable[..., Generator],
        prior_network: Callable[..., nn.Module],
        network: Callable[..., nn.Module],
        process: Process,
        text: TextEncoder | None = None,
        context: int = 64,
        tokens: int = 4,
        share: float = 0.3,
    ) -> None:
        super().__init__(shape, num_classes)
        if not 0 < share < 1:
            raise ValueError(f"model.share is {share}; it must be between 0 and 1, e.g. 0.3")
        check_context(context, text)
        self.share, self.takes_text, self.text = share, text is not None, copy.deepcopy(text)
        self.embedding = StandardEmbedding(encoder, self.shape)
        vectors = (self.embedding.features, 1, 1)
        net = prior_network(shape=vectors)
        self.prior_model = prior(shape=vectors, num_classes=num_classes, network=net, text=text)
        self.prior_model.check_unbounded()
        self.tokens = EmbeddingTokens(self.embedding.features, context, tokens)
        self.network, self.process = network(shape=self.shape, num_classes=0, context=context), process
        if self.prior_model.phases != ("net",) or process.phases != ("net",):
            raise ValueError(
                "model=unclip trains its prior in one phase and its decoder in another: use guidance=none or "
                "classifier_free, and pairing=independent or optimal_transport"
            )
        self.phases = ("prior", "decoder")
        self.stages = (Stage(share, ("prior",)), Stage(1 - share, ("decoder",)))
        with torch.no_grad():
            x, y = self.example()
            # In evaluation mode: without dropout, which draws randomness.
            process.check_network(self.network.eval(), x, self.seen(self.embedding(x), y))
        self.network.train()
        process.adopt(self.network)

    def networks(self) -> list[nn.Module]:
        # Without the encoders: that of images does not run in sampling, that of texts once a batch.
        return [*self.prior_model.networks(), self.network, *self.process.networks()]

    def autocast_networks(self) -> list[nn.Module]:
        texts = [] if self.text is None else [self.text]
        return [*self.prior_model.autocast_networks(), self.network, *self.process.networks(), *texts]

    def learn_words(self, captions: Iterable[str]) -> None:
        if self.text is not None:
            captions = list(captions)
            self.text.learn_words(captions)
            self.prior_model.learn_words(captions)

    def condition(self, texts: Sequence[str]) -> Condition:
        return super().condition(texts) if self.text is None else self.text.condition(texts)

    def unknown_words(self, text: str) -> list[str]:
        return [] if self.text is None else self.text.unknown(text)

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        if phase == "prior":
            return self.prior_model.phase_parameters("net")
        learned = [] if self.text is None else self.text.learned()
        parts = (self.tokens, self.network, self.process)
        return [*(p for part in parts for p in part.parameters()), *learned]

    def check_budget(self, images: int) -> None:
        self.prior_model.check_budget(round(self.share * images))
        self.process.check_budget(round((1 - self.share) * images))

    def begin_step(self, spent: float) -> None:
        """Pass each stage the share of its own part of the budget that is spent: 0 before it, 1 after it."""
        self.prior_model.begin_step(min(spent / self.share, 1.0))
        self.process.begin_step(max(spent - self.share, 0.0) / (1 - self.share))

    def prepare(self, x: Tensor, y: Y = None, *, phase: str = "prior", step: int = 0) -> None:
        """Update the moments of embeddings, in the prior's phase alone: the decoder meets final ones."""
        if self.training and phase == "prior":
            self.embedding.follow(x)

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "prior", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        if global_batch.is_whole():
            self.prepare(x, y, phase=phase, step=step)
        z = self.embedding(x)
        if phase == "prior":
            return self.prior_model.loss(z[:, :, None, None], y, phase="net", step=step)
        return self.process.losses(self.network, x, self.seen(z, y), phase="net")

    def seen(self, z: Tensor, y: Y) -> Encoded:
        """Return the condition of the decoder: the tokens of embeddings z (B, F), and those of B texts."""
        text = self.text(y) if self.text is not None and isinstance(y, Condition) else None
        return self.tokens(z, text)

    def fit(self, batches: Iterable[tuple[Tensor, Y]]) -> None:
        """Fit the decoder's numbers that follow from trained weights, on true embeddings of the images."""
        self.process.fit(self.network, ((x, self.seen(self.embedding(x), y)) for x, y in batches))

    @torch.no_grad()
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        *_, x = self.states(n, y, rng)
        return x

    @torch.no_grad()
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Draw samples, and return the decoder's states on the way: (frames, n, C, H, W). Those of the prior
        are no images. Raises ValueError on fewer than two frames."""
        check_frames(frames)
        states = list(self.states(n, y, rng))
        return torch.stack([states[k] for k in frame_indices(len(states), frames)])

    def states(self, n: int, y: Y, rng: Rng | None) -> Iterator[Tensor]:
        """Yield pure noise, then each state of the decoder on the way to images: (n, C, H, W) each."""
        self.check_labels(y, n)
        z = self.prior_model.sample(n, y, rng=rng).flatten(1)
        x = self.process.noise(n, self.shape, rng)
        yield x
        yield from self.process.path(self.network, x, self.seen(z, y), rng)

    @torch.no_grad()
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        self.check_images(x)
        check_frames(frames)
        return self.process.forward_states(x, rng, frames=frames)

    @torch.no_grad()
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        return self.process.noise_levels()


class LatentEncoder(nn.Module):
    """The latents of a trained model as embeddings: x (B, C, H, W) -> (B, F), maps of latents flattened.

    model: of the same images, with an encoder and without classes; its weights are frozen by its user.
    Raises ValueError on any other.
    """

    def __init__(self, model: Generator) -> None:
        super().__init__()
        if not isinstance(model, Latent) or model.num_classes or model.takes_text:
            raise ValueError(
                f"image_encoder.model is a {type(model).__name__} with {model.num_classes} classes; it must "
                "be a model with latents and without labels: take a run of model=vae or autoencoder"
            )
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.encode(x).flatten(1)


def check_context(context: int, text: TextEncoder | None) -> None:
    """Raise ValueError unless a text encoder, if there is one, gives vectors of the size of the
    embedding's.
    """
    if text is not None and text.width != context:
        raise ValueError(
            f"model.context is {context}, and {text.name} gives vectors of {text.width} numbers: both must "
            "be equal, so leave model.context out"
        )
