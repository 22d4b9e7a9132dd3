"""The pieces of `benchmarks`, whose runs take minutes and are no part of this suite."""

import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import fast, machine
from benchmarks.commands import measure_command, measure_first_step
from benchmarks.console import Row, Table, show
from benchmarks.contenders import CPU, Contender, PeerContender, TrainingCost, draw_samples, peer
from benchmarks.equal_quality import verdict
from benchmarks.fair_timing import by_turns, medians
from benchmarks.images import RandomImages, temporary_cache
from benchmarks.matched_networks import GROUPS, comparison_rows, group
from benchmarks.peers.dcgan import DCGAN
from benchmarks.peers.sketch import Sketch, cosine
from benchmarks.quality import quality_table
from genbench.data import EpochOrder, ImageData, Split, cache_dir, prepare, to_float
from genbench.runtime.progress import Progress


class Clockwork(Contender):
    """Does so many operations an image, and draws one grey level."""

    parameters, batch_size = 3, 2

    def __init__(self, name: str, operations: float) -> None:
        self.name, self.operations = name, operations

    def train(self, seconds: float) -> TrainingCost:
        return TrainingCost(self.batch_size, seconds)

    def sample(self, n: int) -> Tensor:
        return torch.full((n, 1, 28, 28), 7, dtype=torch.uint8)

    def training_work(self) -> float:
        return self.operations


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
    """While the generator stands still, the discriminator's cross-entropy falls from 2 log 2 towards 0."""
    gan = DCGAN()
    for settings in gan.of_generator.param_groups:
        settings["lr"] = 0.0
    white = torch.full((16, 1, 28, 28), 255, dtype=torch.uint8)
    for _ in range(5):
        gan.train_step(white)
    with torch.no_grad():
        noise = gan.generator(torch.randn(16, 100, 1, 1))
        loss = gan.surprise(torch.ones(16, 1, 32, 32), 1.0) + gan.surprise(noise, 0.0)
    assert float(loss) < 0.7  # half of 2 log 2


class KnowsTheImage(torch.nn.Module):
    """The v = (alpha xt - x) / sigma of an image x: x = alpha xt - sigma v."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = cosine(t[:, None, None, None])
        return (alpha * xt - self.x) / sigma


def test_the_sketch_draws_the_image_that_its_network_knows() -> None:
    who, image = Sketch(), torch.randint(256, (1, 1, 28, 28), dtype=torch.uint8)
    who.average = KnowsTheImage(to_float(image))
    assert torch.equal(who.sample(3), image.expand(3, 1, 28, 28))


def test_a_step_of_the_sketch_moves_its_weights_and_its_average_follows() -> None:
    who, image = Sketch(), torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8)
    before = [p.detach().clone() for p in who.network.parameters()]
    who.train_step(image)
    moved = [
        (p - old, average - old)
        for p, average, old in zip(who.network.parameters(), who.average.parameters(), before, strict=True)
    ]
    assert all(bool(step.any()) for step, _ in moved)
    # The first share is 9 / 11; rounding of weights of up to 1 in 24 bits.
    assert all(torch.allclose(mean, step * 9 / 11, atol=1e-6) for step, mean in moved)


def test_a_peer_is_fed_until_its_time_is_up_and_each_image_counts_once() -> None:
    seen: list[int] = []

    class Counts(DCGAN):
        batch_size = 6

        def train_step(self, images: Tensor) -> None:
            seen.append(len(images))

    who = PeerContender(Counts(), random_images(20), progress=Progress(None))
    started = time.perf_counter()
    spent = who.train(0.05)
    assert time.perf_counter() - started >= 0.05
    assert spent.images == sum(seen) == 6 * len(seen)
    assert spent.rate == pytest.approx(spent.images / spent.seconds)


def test_as_many_images_are_drawn_as_were_asked_for() -> None:
    images, seconds = draw_samples(Clockwork("ours", 1.0), 300, progress=Progress(None))
    assert images.shape == (300, 1, 28, 28)
    assert seconds > 0


def test_everybody_has_a_turn_in_each_round_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    rates = {"ours": [99.0, 10.0, 90.0, 30.0], "peer": [99.0, 5.0, 20.0, 10.0]}

    def turn(name: str) -> float:
        order.append(name)
        return rates[name].pop(0)

    works = [partial(turn, name) for name in rates]
    assert by_turns(works, 3) == [[10.0, 90.0, 30.0], [5.0, 20.0, 10.0]]
    assert order == ["ours", "peer"] * 4


def test_the_median_of_the_turns_counts() -> None:
    answers = [99.0, 1.0, 50.0, 3.0]
    assert medians([lambda: answers.pop(0)], 3) == [3.0]


def test_a_row_has_the_ratio_of_the_rates_and_the_work_done_in_a_second() -> None:
    ours, theirs = Clockwork("ours", 2e6), Clockwork("peer", 1e6)
    (row,) = comparison_rows([ours], [theirs], [3000.0, 1000.0], lambda who: who.training_work())
    assert row["ratio"] == 3
    assert (row["MFLOP an image"], row["peer's MFLOP"]) == (2, 1)
    assert (row["GFLOP/s"], row["peer's GFLOP/s"]) == (6, 1)


def test_the_work_of_a_step_is_counted_forward_and_backward_for_both_networks() -> None:
    """Of the last layer of the discriminator, 4x4x256 -> 1 (D): it sees three batches in a step."""

    class Last(DCGAN):
        def train_step(self, images: Tensor) -> None:
            x = torch.zeros(len(images), 256, 4, 4, requires_grad=True)
            self.discriminator[-2](x).sum().backward()

    who = PeerContender(Last(), random_images(8), progress=Progress(None))
    assert who.training_work() == 3 * 2 * 4 * 4 * 256  # forward, by the input, by the weights


@pytest.mark.parametrize("family", GROUPS)
def test_ours_is_as_large_as_its_peer_and_does_as_much_work(family: str) -> None:
    """Within a tenth or so, or the benchmark compares two things.

    Of the work less is allowed: what an optimisation saves at the same numbers is ours to keep.
    """
    ours, peers = group(family)
    if not peers:
        pytest.skip("its library is not installed")
    mine = next(who for who in ours if who.name.endswith("same size"))
    for theirs in peers:
        assert mine.parameters == pytest.approx(theirs.parameters, rel=0.11)
        assert 0.75 < mine.training_work() / theirs.training_work() < 1.11


def test_random_images_come_from_a_store_on_the_disk_that_is_gone_afterwards() -> None:
    with temporary_cache():
        folder = cache_dir()
        data = prepare(RandomImages(1500, (3, 4, 4)), cache=folder, progress=Progress(None))
        images, _ = data.train.gather(EpochOrder(1500, seed=0).take(0, 1500), CPU)
        assert images.shape == (1500, 3, 4, 4)
        assert len({bytes(image.numpy().tobytes()) for image in images}) == 1500
    assert not folder.exists()
    assert cache_dir() != folder


def test_a_rate_of_the_machine_is_that_of_operations_and_work_is_repeated_for_its_time() -> None:
    calls: list[Tensor] = []

    def work() -> None:
        calls.append(torch.ones(8, 8) @ torch.ones(8, 8))

    assert machine.best([work], CPU, spent=0.01, rounds=1) > 0
    assert len(calls) > 2  # one is counted, and at least one in each of two turns


@pytest.mark.parametrize("name", fast.cases(1))
def test_layers_written_by_hand_are_timed_beside_the_same_function_of_torch(name: str) -> None:
    torch.manual_seed(0)
    x, ours, theirs = fast.cases(6)[name]  # so many images that group norm takes the way written by hand
    mine, expected = ours(x), theirs(x)
    assert mine.dtype == expected.dtype
    error = 2e-2 if x.dtype == torch.bfloat16 else 1e-5  # 8 and 24 bits of mantissa, of numbers around 1
    torch.testing.assert_close(mine.float(), expected.float(), rtol=error, atol=error)


def test_a_command_is_waited_for_to_its_end(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    cost = measure_command(["-c", f"import time; time.sleep(0.2); open({str(trace)!r}, 'w')"], threads=1)
    assert trace.exists()
    assert cost.wall > 0


def test_a_run_that_ends_before_its_first_step_is_told_apart_from_a_fast_one() -> None:
    with pytest.raises(RuntimeError, match="ended before its first step"):
        measure_first_step(["model=no_such_model"], threads=1)


def test_a_table_is_printed_and_kept_with_its_notes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    show([Table("Speed", [{"who": "a", "x": 1.0}, {"who": "b", "y": 2.0}], ("A note.",))], tmp_path / "t.md")
    text = (tmp_path / "t.md").read_text()
    assert capsys.readouterr().out == text
    assert [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| b")] == [
        [" b   ", " n/a ", " 2   "]
    ]
    assert text.startswith("### Speed\n")
    assert text.endswith("A note.\n")


def test_equal_quality_is_reached_by_the_fewest_steps_that_are_good_enough() -> None:
    peer_row: Row = {"who": "peer", "steps": 50, "fid[cnn]": 40.0}
    ours: list[Row] = [
        {"who": "ours", "steps": steps, "fid[cnn]": distance, "ratio": 100 / steps}
        for steps, distance in ((2, 90.0), (5, 39.0), (10, 20.0))
    ]
    assert verdict([peer_row, *ours]) == "The peer's 40 is reached in 5 steps: 20 times as fast."
    assert verdict([peer_row, *ours[:1]]) == "No number of steps reaches the peer's 40."


def test_the_table_has_the_best_distance_first_and_no_cost_of_real_images() -> None:
    far = {"name": "far", "parameters": 1000, "seconds of training": 5, "images seen": 60}
    far |= {"images/s": 12.0, "seconds a sample": 0.5}
    rows = [
        far | {"fid[cnn,ref=train]": 9.0, "is[cnn]": 3.0},
        {"name": "real", "fid[cnn,ref=train]": 0.5, "is[cnn]": 7.0},
    ]
    lines = quality_table(rows).splitlines()
    titles, _, first, last = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert titles == [*far, "fid[cnn,ref=train]", "is[cnn]"]
    assert first == ["real", "n/a", "n/a", "n/a", "n/a", "n/a", "0.5", "7"]
    assert last == ["far", "1,000", "5", "60", "12", "0.5", "9", "3"]


def test_an_unknown_peer_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'dgan' is no peer; choose from diffusers, .*dcgan"):
        peer("dgan")
