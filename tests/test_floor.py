"""Likelihoods beside the law that the data were drawn from."""

import math

import pytest
import torch
from torch import Tensor

from genbench.data import Gaussians, ImageData, KnownDistribution, prepare, to_uint8
from genbench.evaluation.held_out import HeldOut
from genbench.generator import Generator, Likelihood, Loss
from genbench.metrics import Metrics
from genbench.runtime.context import Context
from genbench.runtime.progress import Progress

BIT = 64 * math.log(2)


class Oracle(Generator, Likelihood):
    """A model that knows the law, and says so with an error of its own for each image."""

    bound, method = "exact", "closed form"

    def __init__(self, law: KnownDistribution, num_classes: int = 0, *, worse_nats: float = 0.0) -> None:
        super().__init__((1, 8, 8), num_classes)
        self.law, self.worse_nats = law, worse_nats

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise AssertionError("measuring trains nothing")

    def sample(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        raise AssertionError("likelihoods need no samples")

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        noise = 2 * self.worse_nats * torch.rand(len(x), dtype=torch.float64)  # of mean worse_nats
        return self.law.log_prob(to_uint8(x), y) - noise


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    cache = tmp_path_factory.mktemp("cache")
    return prepare(Gaussians(classes=4, train=10, test=600), cache=cache, progress=Progress(None))


def measured(data: ImageData, model: Generator) -> dict[str, float]:
    metrics = Metrics(scores=[], batch_size=256)
    return HeldOut(data, metrics, Context(torch.device("cpu"))).likelihood(model)


@pytest.mark.parametrize("classes", [0, 4])
def test_the_law_itself_stands_on_the_floor(data: ImageData, classes: int) -> None:
    record = measured(data, Oracle(data.distribution, classes))
    assert record["bits_per_dim"] == pytest.approx(record["floor_bits_per_dim"], rel=1e-12)
    assert record["gap_bits_per_dim"] == pytest.approx(0, abs=1e-12)
    given = data.distribution.log_prob(data.test.images, data.test.labels if classes else None)
    assert record["floor_bits_per_dim"] == pytest.approx(-float(given.mean()) / BIT, rel=1e-12)


def test_labels_lower_the_floor_by_what_they_tell(data: ImageData) -> None:
    """These pictures tell their labels, so that I(u; y) = H(y), on these images -log2 p(y)."""
    free, given = (measured(data, Oracle(data.distribution, k))["floor_bits_per_dim"] for k in (0, 4))
    told = -float(data.distribution.class_weights.log()[data.test.labels].mean()) / BIT
    assert free - given == pytest.approx(told, abs=1e-6)


def test_the_gap_is_the_divergence_and_its_error_that_of_the_pairs(data: ImageData) -> None:
    """Uniform losses from 0 to 2 nats: mean 1, standard deviation 2 / sqrt 12."""
    record = measured(data, Oracle(data.distribution, worse_nats=1.0))
    error = 2 / math.sqrt(12) / math.sqrt(600) / BIT
    assert record["gap_se"] == pytest.approx(error, rel=0.1)
    assert record["gap_bits_per_dim"] == pytest.approx(1 / BIT, abs=5 * error)
    assert record["gap_bits_per_dim"] == pytest.approx(
        record["bits_per_dim"] - record["floor_bits_per_dim"], abs=1e-12
    )


def test_where_the_law_is_not_known_there_is_no_floor(data: ImageData) -> None:
    law = data.distribution
    unknown = ImageData(**{**vars(data), "distribution": None})
    assert set(measured(unknown, Oracle(law))) == {"bits_per_dim", "bound", "method", "n"}
