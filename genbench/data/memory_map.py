"""Files of an image store, mapped into memory as tensors: they take no memory until they are read."""

import os
import weakref
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genbench.errors import Damaged
from genbench.records.files import state_of

__all__ = ["MappedFile"]


class MappedFile:
    """A file of numbers under a known CRC-32, mapped into memory: `tensor`, of the given dtype and shape.

    A file that others delete or replace lives on in the mapping. What they write into it shows up there,
    and to read beyond the end of a file that was cut ends the process: `check` finds both before a read.
    Not `np.load(mmap_mode="c")`, which opens the file a second time, by its name: what is checked has to be
    the very file that is mapped.
    """

    def __init__(self, path: Path, dtype: type[np.generic], shape: tuple[int, ...], crc: int) -> None:
        self.path, self.crc = path, crc
        with path.open("rb") as file:
            self.descriptor = os.dup(file.fileno())  # of the mapped file, even when its name leads elsewhere
            weakref.finalize(self, os.close, self.descriptor)
            self.state = state_of(self.descriptor)
            # The mapping is copy-on-write: torch has no read-only tensors, and so no write reaches the file.
            self.tensor: Tensor = torch.from_numpy(np.memmap(file, dtype, mode="c", shape=shape))

    def check(self) -> None:
        """Raise Damaged where the file has other contents than when it was mapped; takes microseconds."""
        found = state_of(self.descriptor)
        if found == self.state:
            return
        # A file of which the times alone have changed, as `touch` does it, is still sound.
        content = self.tensor.numpy().data
        if found is None or found.size < content.nbytes or zlib.crc32(content) != self.crc:
            raise Damaged(
                f"{self.path} was changed while this process read images from it: stop the program that "
                "changes it, and run the same command again; it resumes at the last checkpoint"
            )
        self.state = found
