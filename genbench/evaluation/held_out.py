"""Likelihood in bits per dimension, and reconstruction error, of models on held-out images; every process
measures its share of the batches, and all have the results.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from genbench.data import ImageData, to_uint8
from genbench.evaluation.samples import Place, batches, held_out_order
from genbench.generator import Generator, Latent, Likelihood, Y
from genbench.metrics import Metrics, bits_per_dim
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.memory import memory_for, smaller_evaluation
from genbench.training.step import model_batch

__all__ = ["HeldOut"]

SOLVER_ERROR_IMAGES = 64  # test images on which a likelihood is integrated again, in n and in 2n steps

Measure = Callable[[Tensor, Y], Tensor]


class HeldOut:
    """Measures models on test images, `metrics.likelihood_samples` of them or all, or not at all if it is 0.

    Every process of a run calls the same methods, which divide the images and return the same to all.
    Draws from its own random streams, so that nothing else changes.
    """

    def __init__(self, data: ImageData, metrics: Metrics, context: Context) -> None:
        self.data, self.context, self.batch_size = data, context, metrics.batch_size
        self.order = held_out_order(data, context.seed)
        asked = metrics.likelihood_samples
        self.n = len(data.test) if asked is None else min(asked, len(data.test))

    @torch.no_grad()
    def likelihood(self, model: Generator) -> dict[str, Any]:
        """Measure bits per dimension, and state what kind of number it is; all None for a model without a
        likelihood, and without images, n = 0, the kind alone.
        Of a likelihood that is integrated in steps also `solver_error_bits`: what finer steps would add to
        the bits per dimension, the mean over the first `solver_error_n` images under equal draws. Of data
        whose distribution is known also the keys of `against`.
        Raises FloatingPointError where an image's log-probability is not finite.
        """
        if not isinstance(model, Likelihood):
            return {"bits_per_dim": None, "bound": None, "method": None, "n": None}
        if self.n == 0:
            return {"bits_per_dim": None, "bound": model.bound, "method": model.method, "n": 0}
        log_q, *known = torch.cat(self.nats(model), dim=1)  # nats of the model, and of the distribution
        if not bool(log_q.isfinite().all()):
            raise FloatingPointError("log p(x) of a test image is not finite: train at a lower optim.lr")
        dimensions = self.data.test.images[0].numel()
        bits = bits_per_dim(float(log_q.sum()) / self.n, dimensions)
        record = {"bits_per_dim": bits, "bound": model.bound, "method": model.method, "n": self.n}
        if model.discretized:
            change = torch.cat(self.refinements(model))
            error = bits_per_dim(float(change.mean()), dimensions)
            record |= {"solver_error_bits": error, "solver_error_n": len(change)}
        return record | against(known[0], log_q, dimensions) if known else record

    @torch.no_grad()
    def reconstruction(self, model: Generator) -> dict[str, Any]:
        """Measure the mean squared error of rebuilt images, as bytes scaled to [0, 1]: {"mse": .., "n": ..}.
        None for a model without codes, and for one that is inverted to decode: its error is 0 by
        construction, and no sign of quality.
        """
        if not isinstance(model, Latent) or model.inverts:
            return {"mse": None, "n": None}
        if self.n == 0:
            return {"mse": None, "n": 0}
        return {"mse": float(torch.cat(self.errors(model)).mean()), "n": self.n}

    def nats(self, model: Likelihood) -> list[Tensor]:
        """Compute log p(x) of the test images in nats, (1 or 2, B) for each batch: under the model and, where
        it is known, under the data's own distribution.
        """
        assert isinstance(model, Generator)  # a likelihood is what some of them have

        def of_batch(x: Tensor, y: Y) -> Tensor:
            known, labels = list[Tensor](), y if isinstance(y, Tensor) else None
            if self.data.distribution is not None:
                known = [self.data.distribution.log_prob(to_uint8(x), labels).double().cpu()]
            return torch.stack([model.log_prob(x, y).double().cpu(), *known])

        return self.of_images(model, "likelihood", of_batch)

    def refinements(self, model: Likelihood) -> list[Tensor]:
        """Compute log p(x) in finer steps minus log p(x) with equal random draws, on at most 64 test images:
        (B,) nats for each batch, whose mean is the error of the solver.
        """
        assert isinstance(model, Generator)

        def of_batch(x: Tensor, y: Y) -> Tensor:
            coarse = model.log_prob(x, y)
            torch.manual_seed(torch.initial_seed())  # so that both draw the same
            return (model.refined_log_prob(x, y).double() - coarse.double()).cpu()

        n = min(self.n, SOLVER_ERROR_IMAGES)  # twice the steps take twice the time of a likelihood
        return self.of_images(model, "error of the likelihood's solver", of_batch, n=n)

    def errors(self, model: Latent) -> list[Tensor]:
        """Compute the mean squared error of each rebuilt test image, after rounding to bytes, scaled to [0,
        1]: (B,) float64 for each batch.
        """

        def of_batch(x: Tensor, y: Y) -> Tensor:
            error = to_uint8(model.reconstruct(x, y)).double() - to_uint8(x).double()
            return (error / 255).square().flatten(1).mean(dim=1).cpu()

        return self.of_images(model, "reconstruction", of_batch)

    def of_images(
        self, model: Generator, title: str, measure: Measure, *, n: int | None = None
    ) -> list[Tensor]:
        """Apply a measurement to each batch of the first n test images (None: all that are asked for),
        divided among the processes; returns the results of all batches, in order, in every process.
        title: shown on the bar, and the name of the random stream.
        """
        n = self.n if n is None else n
        model.eval()
        context = self.context
        work = f"the {title} on {context.device}, {self.batch_size} images at a time (metrics.batch_size)"
        explained = memory_for(work, smaller_evaluation(self.batch_size))
        with rng.fork(context.device), explained, context.progress.bar(title, n) as bar:

            def of_batch(place: Place) -> Tensor:
                context.stop.check()
                start, count = place
                # One stream for each batch, so that it matters to no number which process draws.
                torch.manual_seed(rng.derive(context.seed, title, start))
                index = self.order[start : start + count]
                measured = measure(*model_batch(model, self.data.test, index, context.device))
                bar.advance(start + count)
                return measured

            # The first process alone has the results, the others an empty list.
            places = list(batches(n, self.batch_size))
            return context.processes.broadcast(list(context.processes.map(of_batch, places)))


def against(log_p: Tensor, log_q: Tensor, dimensions: int) -> dict[str, float]:
    """Compare log-probabilities with those of the data's own distribution: what it needs in bits per
    dimension, and the gap, what a model needs more, with its standard error, nan of one image.
    log_p, log_q: nats of the same n images under the distribution and under the model, (n,). The gap is
    paired, image by image, so that its mean is KL(p || q) / (D ln 2) without the noise of the floor.
    """
    gap = log_p - log_q
    error = gap.std() / math.sqrt(len(gap)) if len(gap) > 1 else math.nan
    return {
        "floor_bits_per_dim": bits_per_dim(float(log_p.mean()), dimensions),
        "gap_bits_per_dim": bits_per_dim(-float(gap.mean()), dimensions),
        "gap_se": bits_per_dim(-float(error), dimensions),
    }
