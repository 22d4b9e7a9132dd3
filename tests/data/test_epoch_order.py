import pytest
import torch

from genbench.data import EpochOrder


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_each_epoch_is_a_permutation(n: int) -> None:
    stream = EpochOrder(n, seed=3).take(0, 4 * n).reshape(4, n)
    assert torch.equal(stream.sort(dim=1).values, torch.arange(n).expand(4, n))


def test_any_cut_of_the_stream_gives_the_same_stream() -> None:
    whole = EpochOrder(10, seed=0).take(0, 60)
    order, start = EpochOrder(10, seed=0), 0
    for count in (3, 0, 10, 1, 25, 21):  # inside an epoch, across one, longer than the set
        assert torch.equal(order.take(start, count), whole[start : start + count])
        start += count
    assert torch.equal(EpochOrder(10, seed=0).take(37, 23), whole[37:])  # a resume, far into the stream


def test_going_back_changes_nothing() -> None:
    order = EpochOrder(50, seed=1)
    first = order.take(10, 20)
    order.take(500, 60)
    assert torch.equal(order.take(10, 20), first)


def test_epochs_and_seeds_differ_also_where_their_sums_agree() -> None:
    orders = {
        tuple(EpochOrder(20, seed).take(20 * epoch, 20).tolist()) for seed in range(8) for epoch in range(8)
    }
    assert len(orders) == 64  # of 20! permutations: a chance collision has probability 1e-15


def test_every_image_is_equally_likely_at_every_place() -> None:
    n, epochs = 5, 4000
    stream = EpochOrder(n, seed=7).take(0, n * epochs).reshape(epochs, n)
    counts = torch.stack([(stream == image).sum(dim=0) for image in range(n)])
    # Each cell is binomial(4000, 1/5) with deviation 25.3; six of them over 25 cells: false alarm below 1e-7.
    assert (counts - epochs / n).abs().max() < 6 * 25.3


def test_the_stream_never_changes_between_versions() -> None:
    assert EpochOrder(8, seed=0).take(0, 8).tolist() == [3, 2, 5, 7, 1, 4, 6, 0]


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (-1, 0), (3, -1)])
def test_impossible_orders_are_refused(n: int, seed: int) -> None:
    with pytest.raises(ValueError, match=r"(n|seed) is"):
        EpochOrder(n, seed)


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (0, -2)])
def test_impossible_pieces_are_refused(start: int, count: int) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        EpochOrder(3, 0).take(start, count)
