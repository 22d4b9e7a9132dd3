"""What is asked of the machine."""

import ctypes
import platform

import pytest
import torch

from genbench.device import keep_memory

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
