"""What is asked of the machine."""

import ctypes
import platform
from collections.abc import Iterator

import pytest
import torch

from genbench.device import keep_memory, make_repeatable

NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class Mallinfo(ctypes.Structure):
    """glibc's account of its memory; arena is what it holds, hblkhd what goes back as soon as it is freed."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES.split())


def account() -> Mallinfo:
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo
    return libc.mallinfo2()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other rules")
def test_memory_that_is_freed_stays_with_the_process() -> None:
    keep_memory()
    before = account()
    large = torch.ones(2**26, dtype=torch.uint8)
    with_it = account()
    assert with_it.hblkhd == before.hblkhd
    del large
    assert account().arena == with_it.arena


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("two_threads")
def test_the_gradient_of_an_indexed_tensor_repeats_itself_on_several_threads() -> None:
    make_repeatable(torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(50, 16, generator=rng).requires_grad_()
    index, weight = torch.randint(50, (20_000,), generator=rng), torch.randn(20_000, 16, generator=rng)
    # Without the choice of kernels about every other gradient differs in its last bits.
    first, *others = (torch.autograd.grad((x[index] * weight).sum(), x)[0] for _ in range(20))
    assert all(torch.equal(other, first) for other in others)
