"""Questions to the machine: devices, threads, memory."""

import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from genbench.runtime.device import make_repeatable

SCRIPT = """
import ctypes, torch
from genbench.runtime.device import keep_memory

NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

class Mallinfo(ctypes.Structure):  # arena is what glibc holds, hblkhd what goes back as soon as it is freed
    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES.split())

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo
keep_memory()
before = libc.mallinfo2()
large = torch.ones(2**26, dtype=torch.uint8)
with_it = libc.mallinfo2()
assert with_it.hblkhd == before.hblkhd
del large
assert libc.mallinfo2().arena == with_it.arena
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other rules")
def test_memory_that_is_freed_stays_with_the_process() -> None:
    """In a process of its own: one in which an allocation failed before takes memory from elsewhere."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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


def test_the_rounding_of_float32_on_a_gpu_does_not_depend_on_what_was_set_before() -> None:
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark
    try:
        products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark = True, False, True
        make_repeatable(torch.device("cuda"))
        assert (products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark) == (False, True, False)
    finally:
        products.allow_tf32, convolutions.allow_tf32, convolutions.benchmark = before
