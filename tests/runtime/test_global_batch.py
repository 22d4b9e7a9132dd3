"""Draws for a batch do not depend on the parts that it is split into."""

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from genbench.errors import Lost, OutOfMemory
from genbench.runtime import global_batch
from genbench.runtime.global_batch import Dropout, Part, StepRows, at_work

CPU = torch.device("cpu")
N, SHAPE = 12, (3, 4, 4)
PROBABILITIES = torch.tensor([[0.1, 0.2, 0.7]]).repeat(N, 1)


def images(n: int) -> Tensor:
    return torch.zeros(n, *SHAPE).contiguous(memory_format=torch.channels_last)


def dropped(n: int) -> Tensor:
    return Dropout(0.5).train()(images(n) + 1)


DRAWS: dict[str, Callable[[int], Tensor]] = {
    "normal": lambda n: global_batch.normal(n, SHAPE, device=CPU),
    "normal, float64": lambda n: global_batch.normal(n, dtype=torch.float64, device=CPU),
    "uniform": lambda n: global_batch.uniform(n, SHAPE, device=CPU),
    "integers": lambda n: global_batch.integers(n, (2,), low=-3, high=4, device=CPU),
    "normal_like": lambda n: global_batch.normal_like(images(n)),
    "uniform_like": lambda n: global_batch.uniform_like(images(n)),
    "choice": lambda n: global_batch.choice(PROBABILITIES[:n]),
    "dropout": dropped,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("parts", [2, 3, 12])
def test_the_parts_of_a_draw_are_the_rows_of_the_whole(draw: Callable[[int], Tensor], parts: int) -> None:
    def drawn(part: Part) -> Tensor:
        torch.manual_seed(3)
        with at_work(part):
            return draw(N // part.of)

    rows = torch.cat([drawn(Part(index, parts)) for index in range(parts)])
    whole = drawn(Part(0, 1))
    assert torch.equal(rows, whole)
    assert len(whole.flatten().unique()) > 1


def test_without_parts_draws_are_torchs_own() -> None:
    """So that a run of one process has the numbers that its code says."""
    rng = torch.Generator().manual_seed(5)
    mine = global_batch.normal(N, SHAPE, device=CPU, rng=rng), global_batch.choice(PROBABILITIES, rng=rng)
    rng.manual_seed(5)
    theirs = torch.randn(N, *SHAPE, generator=rng), torch.multinomial(PROBABILITIES, 1, generator=rng)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_copies_of_an_image_follow_it_into_its_part() -> None:
    """Draws for k copies of each image, image by image."""
    torch.manual_seed(0)
    whole = global_batch.normal(3 * N, device=CPU)
    torch.manual_seed(0)
    with at_work(Part(1, 2)):
        assert torch.equal(global_batch.normal(3 * N // 2, device=CPU), whole[3 * N // 2 :])


def test_dropout_without_parts_and_in_evaluation_is_torchs() -> None:
    x = torch.randn(N, *SHAPE)
    torch.manual_seed(1)
    mine = Dropout(0.3).train()(x)
    torch.manual_seed(1)
    assert torch.equal(mine, torch.nn.Dropout(0.3).train()(x))
    with at_work(Part(0, 2)):
        assert torch.equal(Dropout(0.3).eval()(x), x)


def test_a_part_ends_with_its_block_whatever_happens() -> None:
    with at_work(Part(1, 2, last=False)):
        assert not global_batch.last_part()
        assert global_batch.size(6) == 12
    with pytest.raises(ZeroDivisionError), at_work(Part(1, 2)):
        1 / 0  # noqa: B018
    assert global_batch.last_part()
    assert global_batch.size(6) == 6


def test_what_a_step_learns_from_is_complete_with_its_last_part_and_in_order() -> None:
    rows, whole = StepRows(), torch.arange(N)
    for _ in range(2):  # a step leaves nothing behind for the next
        for index in range(3):
            with at_work(Part(index, 3, last=index == 2)):
                found = rows.complete([whole.chunk(3)[index]])
            assert (found is None) == (index < 2)
        assert found is not None
        assert torch.equal(found[0], whole)
    assert rows.complete([whole])[0] is whole  # of a whole batch the very rows


def test_a_step_that_broke_off_leaves_no_rows() -> None:
    rows = StepRows()
    with at_work(Part(0, 2, last=False)):
        rows.complete([torch.zeros(3)])
    with at_work(Part(0, 2, last=False)):
        rows.complete([torch.ones(3)])
    with at_work(Part(1, 2)):
        found = rows.complete([torch.ones(3)])
    assert found is not None
    assert torch.equal(found[0], torch.ones(6))


@pytest.mark.parametrize(
    ("error", "mixed", "raised"),
    [
        (RuntimeError("in whatever words"), False, Lost),
        (RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"), True, Lost),
        (RuntimeError("a peer's CONNECTION RESET"), True, Lost),
        (dist.DistNetworkError("in whatever words"), True, Lost),
        (ConnectionAbortedError("in whatever words"), True, Lost),
        (RuntimeError("the shapes at this skip connection differ"), True, RuntimeError),
        (torch.OutOfMemoryError("while NCCL made a buffer"), False, torch.OutOfMemoryError),
        (torch.OutOfMemoryError("while NCCL made a buffer"), True, torch.OutOfMemoryError),
        (OutOfMemory("a message with its remedy"), False, OutOfMemory),
    ],
)
def test_errors_of_a_connection_are_those_of_a_lost_process(
    error: Exception, mixed: bool, raised: type[Exception]
) -> None:
    with pytest.raises(raised) as found, global_batch.noticed(mixed=mixed):
        raise error
    assert type(found.value) is raised
