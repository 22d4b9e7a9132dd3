"""Likelihood in bits and reconstruction error on held-out images."""

import math

import pytest
import torch
from torch import Tensor

from genbench.data import Digits, ImageData, prepare, to_uint8
from genbench.evaluation.held_out import HeldOut
from genbench.evaluation.samples import held_out_order
from genbench.generator import Generator, Latent, Likelihood, Loss
from genbench.metrics import DigitsFeatures, Metrics
from genbench.runtime.context import Context
from genbench.runtime.progress import Progress

CPU = torch.device("cpu")


class Uniform(Latent, Likelihood):
    """Every image is as likely as any other; images are rebuilt `off` levels too bright."""

    bound, method = "exact", "closed form"
    latent_shape = (1, 8, 8)

    def __init__(self, num_classes: int = 0, *, off: int = 0, noise: float = 0.0) -> None:
        super().__init__((1, 8, 8), num_classes)
        self.off, self.noise, self.seen = off, noise, []

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise AssertionError("measuring trains nothing")

    def prior(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        return torch.rand(n, *self.shape, generator=rng) * 2 - 1

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_labels(y, len(x))
        self.seen.append(x)
        return torch.full((len(x),), -64 * math.log(256)) + self.noise * torch.randn(len(x))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z + self.off / 127.5


class Mute(Generator):
    """A model that draws images, and says nothing of any other."""

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise AssertionError("measuring trains nothing")

    def sample(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        return torch.zeros(n, *self.shape)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return prepare(Digits(), cache=tmp_path_factory.mktemp("cache"), progress=Progress(None))


def held_out(data: ImageData, n: int | None = None, batch_size: int = 100) -> HeldOut:
    metrics = Metrics(DigitsFeatures(), likelihood_samples=n, batch_size=batch_size)
    return HeldOut(data, metrics, Context(CPU))


@pytest.mark.parametrize("classes", [0, 10])
def test_a_uniform_model_needs_8_bits_a_dimension(data: ImageData, classes: int) -> None:
    model = Uniform(classes)
    record = held_out(data).likelihood(model)
    assert record["bits_per_dim"] == pytest.approx(8, rel=1e-6)  # float32 log-probabilities
    assert (record["bound"], record["method"], record["n"]) == ("exact", "closed form", 359)
    seen = to_uint8(torch.cat(model.seen))
    assert torch.equal(seen, data.test.images[held_out_order(data, 0)])


def test_as_many_test_images_as_asked_for_are_measured(data: ImageData) -> None:
    model = Uniform()
    assert held_out(data, 150).likelihood(model)["n"] == 150
    assert [len(x) for x in model.seen] == [100, 50]


def test_no_test_image_is_measured_where_none_is_asked_for(data: ImageData) -> None:
    model = Uniform()
    record = held_out(data, 0).likelihood(model)
    assert record == {"bits_per_dim": None, "bound": "exact", "method": "closed form", "n": 0}
    assert held_out(data, 0).reconstruction(model) == {"mse": None, "n": 0}
    assert model.seen == []


def test_the_error_is_that_of_bytes_scaled_to_one(data: ImageData) -> None:
    assert held_out(data).reconstruction(Uniform())["mse"] == 0
    # Digits hold levels up to 255, where one more level cannot be shown.
    free = float((data.test.images < 255).double().mean())
    mse = held_out(data).reconstruction(Uniform(off=1))["mse"]
    assert mse == pytest.approx(free / 255**2, rel=1e-9)


def test_a_model_that_is_inverted_to_decode_has_no_error_of_rebuilt_images(data: ImageData) -> None:
    model = Uniform()
    model.inverts = True
    assert held_out(data).reconstruction(model) == {"mse": None, "n": None}
    assert model.seen == []


def test_a_model_without_likelihood_or_codes_has_no_number(data: ImageData) -> None:
    model = Mute((1, 8, 8))
    assert set(held_out(data).likelihood(model).values()) == {None}
    assert set(held_out(data).reconstruction(model).values()) == {None}


class Stepped(Uniform):
    """A likelihood in steps, of which twice as many find `more` nats more."""

    discretized, more = True, 0.5

    def refined_log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.log_prob(x, y) + self.more


def test_a_likelihood_in_steps_comes_with_what_twice_the_steps_change_under_the_same_draws(
    data: ImageData,
) -> None:
    model = Stepped(noise=10.0)
    record = held_out(data, 150, batch_size=50).likelihood(model)
    # Three batches of the likelihood, and 64 images in two batches in both numbers of steps.
    assert [len(x) for x in model.seen] == [50, 50, 50, 50, 50, 14, 14]
    # Whatever the noise; float32 log-probabilities of 355 nats are good to 3e-5.
    assert record["solver_error_bits"] == pytest.approx(-0.5 / 64 / math.log(2), abs=2e-6)
    assert (record["n"], record["solver_error_n"]) == (150, 64)
    assert held_out(data, 20).likelihood(Stepped())["solver_error_n"] == 20
    assert "solver_error_bits" not in held_out(data, 20).likelihood(Uniform())
    plain = held_out(data, 150, batch_size=50).likelihood(Uniform(noise=10.0))
    assert plain["bits_per_dim"] == record["bits_per_dim"]


def test_a_log_probability_that_is_not_finite_stops(data: ImageData) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        held_out(data).likelihood(Uniform(noise=float("nan")))


def test_measuring_repeats_and_leaves_the_training_stream_alone(data: ImageData) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = held_out(data).likelihood(Uniform(noise=1.0))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    assert held_out(data).likelihood(Uniform(noise=1.0)) == first
