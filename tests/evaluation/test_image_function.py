"""Python functions as a source of images: their batches and seeds, and what becomes of their errors."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.data import Digits
from genbench.errors import Failure
from genbench.evaluation.image_function import ImageFunction, draw_images
from genbench.metrics import FID, DigitsFeatures, Metrics
from genbench.runtime.context import Context

CPU = torch.device("cpu")
Call = tuple[int, int]


def noise(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def draw(
    function: ImageFunction, *, samples: int | None = 50, batch_size: int = 20, seed: int = 0
) -> torch.Tensor:
    metrics = Metrics(DigitsFeatures(), scores=[FID()], samples=samples, batch_size=batch_size)
    return draw_images(function, "noise", Digits(), metrics, Context(CPU, seed)).images


def test_images_are_those_of_the_calls_and_of_their_seeds() -> None:
    calls = list[Call]()

    def recorded(n: int, seed: int) -> np.ndarray:
        calls.append((n, seed))
        return noise(n, seed)

    images = draw(recorded)
    assert [n for n, _ in calls] == [20, 20, 10]
    assert len({seed for _, seed in calls}) == 3
    assert all(0 <= seed < 2**31 for _, seed in calls)
    assert np.array_equal(images[:, 0].numpy(), np.concatenate([noise(*call) for call in calls]))
    assert torch.equal(images, draw(noise))
    assert not torch.equal(images, draw(noise, seed=1))


def test_as_many_are_drawn_as_the_test_split_has_where_nothing_is_said() -> None:
    assert len(draw(noise, samples=None)) == 359


@pytest.mark.parametrize(
    "function",
    [
        lambda n, seed: noise(n, seed)[..., None],
        lambda n, seed: torch.from_numpy(noise(n, seed)),
        lambda n, seed: torch.from_numpy(noise(n, seed))[:, None],
        lambda *numbers: noise(*numbers),
    ],
    ids=["channels", "tensor", "channels first", "any arguments"],
)
def test_any_legal_array_gives_the_same_images(function: ImageFunction) -> None:
    assert torch.equal(draw(function), draw(noise))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda n, seed: noise(3, seed), r"noise\(20, \d+\) returned 3 images; it must return 20 images"),
        (lambda n, seed: noise(n, seed) / 255, r"what noise\(20, \d+\) returned has dtype float64"),
        (lambda n, seed: noise(n, seed)[:, 1:], r"has shape \[20, 7, 8\]; images of this data are"),
        (lambda n, seed: None, r"returned an object of type NoneType; it must return 20 images"),
        (lambda seed: noise(1, seed), r"cannot be called as noise\(n, seed\)"),
        (lambda n, *, seed: noise(n, seed), r"cannot be called as noise\(n, seed\)"),
    ],
)
def test_what_is_no_function_of_images_is_refused(function: ImageFunction, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(function)


def failing(n: int, seed: int) -> np.ndarray:
    return deeper(n / 0)


def deeper(n: float) -> np.ndarray:
    raise AssertionError


def leaving(n: int, seed: int) -> np.ndarray:
    sys.exit("no model")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (failing, "ZeroDivisionError: division by zero"),
        (leaving, "SystemExit: no model"),
        (lambda n, seed: deeper(n), "AssertionError"),
        (lambda n, seed: np.zeros((n, "x")), "TypeError"),
    ],
)
def test_an_error_of_the_function_names_it_and_the_line_in_its_file(
    function: ImageFunction, message: str
) -> None:
    place = rf" \({Path(__file__).name}, line \d+, in (failing|leaving|deeper|<lambda>)\)$"
    with pytest.raises(Failure, match=rf"noise\(20, \d+\) raised {message}.*{place}"):
        draw(function)
