"""Images on a GPU are those of the host, and where they are follows from its free memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from genbench.contract.fake_cuda import CUDA, reading
from genbench.data import EpochOrder, Split
from genbench.data.device_images import SHARE, on_device, split_on

CPU = torch.device("cpu")


def split(*, captions: bool = False) -> Split:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 3, 4, 4), generator=rng, dtype=torch.uint8)
    return Split(images, torch.arange(20), captions=list(map(str, range(20))) if captions else None)


def part() -> Split:
    return split(captions=True).part(torch.arange(1, 20, 2))


@pytest.mark.parametrize("whole", [split(captions=True), part()], ids=["whole", "part"])
def test_a_copy_has_the_batches_labels_and_captions_of_the_split(whole: Split) -> None:
    copied, order = split_on(whole, CPU), EpochOrder(len(whole), 0)
    assert len(copied) == len(whole)
    for start in range(0, 40, 5):
        index = order.take(start, 5)
        for ours, theirs in zip(copied.gather(index, CPU), whole.gather(index, CPU), strict=True):
            assert ours is not None
            assert theirs is not None
            assert torch.equal(ours, theirs)
    assert copied.captions is not None
    assert whole.captions is not None
    assert list(copied.captions) == list(whole.captions)


def test_on_a_cpu_the_split_itself_is_used_and_nothing_is_said() -> None:
    images = split()
    assert on_device(images, CPU) == (images, [])


@contextmanager
def no_pinned_memory() -> Iterator[None]:
    """Fake tensors, on a machine whose pinned memory is like any other."""
    with reading(), patch.object(Tensor, "pin_memory", lambda self: self):
        yield


def test_images_go_to_a_gpu_where_a_share_of_its_free_memory_suffices() -> None:
    images, size = split(), 20 * 3 * 4 * 4
    with no_pinned_memory():
        held, said = on_device(images, CUDA, free=round(size / SHARE) + 1)
        assert held.stored_images.device == CUDA
        assert "in the GPU's memory" in said[0]
        found, labels = held.gather(torch.arange(5), CUDA)
        assert (found.device, found.shape) == (CUDA, (5, 3, 4, 4))
        assert labels is not None
        assert (labels.device, labels.shape) == (CUDA, (5,))
        kept, said = on_device(images, CUDA, free=round(size / SHARE) - 1)
        assert kept is images
        assert "10% of its free memory" in said[0]


def test_a_batch_of_images_on_a_gpu_reads_nothing_back() -> None:
    with reading() as reads, patch.object(Tensor, "pin_memory", lambda self: self):
        held, _ = on_device(split(), CUDA, free=10**9)
        held.gather(torch.arange(5), CUDA)
    assert reads.found == {}
