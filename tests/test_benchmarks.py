"""The pieces of `tests/benchmarks`, whose runs take minutes and are no part of this suite."""

import pytest
import torch
from torch import Tensor

from genbench.data import ImageData, Split
from genbench.progress import Progress
from tests.benchmarks.contenders import Contender, Fed, Spent, drawn, peer
from tests.benchmarks.peers.dcgan import DCGAN
from tests.benchmarks.quality import quality_table
from tests.benchmarks.speed import Round, measure, middle, speed_row


class Clockwork(Contender):
    """Trains at rates that are known, and draws one grey level."""

    parameters = 3

    def __init__(self, name: str, rates: list[int]) -> None:
        self.name, self.rates = name, rates

    def train(self, seconds: float) -> Spent:
        return Spent(self.rates.pop(0), 1.0)

    def sample(self, n: int) -> Tensor:
        return torch.full((n, 1, 28, 28), 7, dtype=torch.uint8)


def random_images(n: int) -> ImageData:
    split = Split(torch.randint(256, (n, 1, 28, 28), dtype=torch.uint8), None)
    return ImageData("noise", split, split, (), 0, False, "noise", (1, 28, 28))


def weights(gan: DCGAN) -> list[Tensor]:
    return [*gan.generator.parameters(), *gan.discriminator.parameters()]


def test_two_steps_of_the_dcgan_move_both_networks_and_it_draws_images() -> None:
    gan = DCGAN()
    before = [p.detach().clone() for p in weights(gan)]
    for _ in range(2):
        gan.train_step(torch.randint(256, (8, 1, 28, 28), dtype=torch.uint8))
    assert all(not torch.equal(p, q) for p, q in zip(weights(gan), before, strict=True))
    images = gan.sample(5)
    assert images.shape == (5, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert images.unique().numel() > 100  # grey levels of an image, not a constant


def test_a_dcgan_learns_which_images_are_real() -> None:
    """Where the generator stands still, the discriminator's cross-entropy falls from 2 log 2 towards 0."""
    gan = DCGAN()
    for group in gan.of_generator.param_groups:
        group["lr"] = 0.0
    white = torch.full((16, 1, 28, 28), 255, dtype=torch.uint8)
    for _ in range(5):
        gan.train_step(white)
    with torch.no_grad():
        noise = gan.generator(torch.randn(16, 100, 1, 1))
        loss = gan.surprise(torch.ones(16, 1, 32, 32), 1.0) + gan.surprise(noise, 0.0)
    assert float(loss) < 0.7  # half of 2 log 2


def test_a_peer_is_fed_until_its_time_is_up_and_each_image_counts_once() -> None:
    seen: list[int] = []

    class Counts(DCGAN):
        batch_size = 6

        def train_step(self, images: Tensor) -> None:
            seen.append(len(images))

    who = Fed(Counts(), random_images(20), progress=Progress(None))
    spent = who.train(0.05)
    assert spent.images == sum(seen) == 6 * len(seen)
    assert spent.seconds >= 0.05
    assert spent.rate == pytest.approx(spent.images / spent.seconds)


def test_as_many_images_are_drawn_as_were_asked_for() -> None:
    images, seconds = drawn(Clockwork("ours", []), 300, progress=Progress(None))
    assert images.shape == (300, 1, 28, 28)
    assert seconds > 0


def test_speeds_are_medians_and_ratios_those_of_medians() -> None:
    ours, theirs = Clockwork("ours", [10, 90, 30]), Clockwork("peer", [5, 20, 10])
    turns = [(measure(ours, 0.001, 4), measure(theirs, 0.001, 4)) for _ in range(3)]
    row = speed_row(ours, theirs, [turn[0] for turn in turns], [turn[1] for turn in turns])
    assert (row["training images/s"], row["peer's training"], row["training ratio"]) == (30, 10, 3)
    assert middle([Round(1, 6), Round(2, 5), Round(9, 4)]) == Round(2, 5)


def test_the_table_has_the_best_distance_first_and_no_cost_of_real_images() -> None:
    far = {"name": "far", "parameters": 1000, "images seen": 60, "images/s": 12.0, "seconds a sample": 0.5}
    rows = [
        far | {"fid[cnn,ref=train]": 9.0, "is[cnn]": 3.0},
        {"name": "real", "fid[cnn,ref=train]": 0.5, "is[cnn]": 7.0},
    ]
    lines = quality_table(rows).splitlines()
    titles, _, first, last = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert titles == [*far, "fid[cnn,ref=train]", "is[cnn]"]
    assert first == ["real", "n/a", "n/a", "n/a", "n/a", "0.5", "7"]
    assert last == ["far", "1,000", "60", "12", "0.5", "9", "3"]


def test_an_unknown_peer_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'dgan' is no peer; legal are diffusers, .*dcgan"):
        peer("dgan")
