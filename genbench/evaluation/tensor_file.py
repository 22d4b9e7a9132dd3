"""Tensors of a file that `torch.save` wrote, whoever sent it: no code in it is run, and no more memory is
taken than the file has bytes.
"""

import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from genbench.evaluation.npz_file import SHOWN, shortened
from genbench.records.untrusted_files import open_regular

__all__ = ["read_tensors"]

SAVE = "save it again by torch.save(images, FILE)"


def read_tensors(file: Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Read the one tensor of a .pt or .pth file, under the name ""; or of a dict some tensors by name, as far
    as it has them, the first of which it must have.

    Raises ValueError, with the file, what it holds and the remedy, on anything else.
    """
    found = loaded(file)
    if isinstance(found, Tensor):
        return {"": plain(found, str(file))}
    if not isinstance(found, dict) or not isinstance(found.get(names[0]), Tensor):
        raise ValueError(
            f"{file} holds {held(found)}; it must hold one tensor of images, or a dict with `{names[0]}`: "
            f"{SAVE}"
        )
    return {
        name: plain(found[name], f"{file}: {name}") for name in names if isinstance(found.get(name), Tensor)
    }


def loaded(file: Path) -> object:
    """Read tensors and plain values of a file. Raises ValueError where it holds anything else."""
    with open_regular(file) as opened:
        if not zipfile.is_zipfile(opened):
            raise ValueError(f"{file} is not a file that torch.save of version 1.6 or later wrote: {SAVE}")
        opened.seek(0)
        try:
            # Packed bytes could be a thousand times as many in memory; torch stores them unpacked.
            if any(
                member.compress_type != zipfile.ZIP_STORED for member in zipfile.ZipFile(opened).infolist()
            ):
                raise ValueError("a member is compressed")
            opened.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's own, on pickles that it then refuses
                return torch.load(opened, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # a damaged pickle raises whatever its bytes spell
            raise ValueError(f"{file} is damaged, or holds more than tensors and numbers: {SAVE}") from error


def plain(x: Tensor, where: str) -> Tensor:
    """Return a tensor whose numbers all lie in the file. Raises ValueError on sparse ones and the like, and
    on one that repeats a few numbers, which could be of any size.
    """
    is_dense = x.device.type == "cpu" and x.layout == torch.strided and not x.is_quantized
    if not is_dense or x.numel() * x.element_size() > x.untyped_storage().nbytes():
        raise ValueError(f"{where} is not a dense tensor with all its numbers in the file: {SAVE}")
    return x.detach()


def held(found: object) -> str:
    """Describe what a file holds, for a message: the tensors of a dict with their dtypes and shapes, the
    first few of many.
    """
    if not isinstance(found, dict):
        return f"a {type(found).__name__}"
    shown = [described(name, value) for name, value in list(found.items())[:SHOWN]]
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return f"a dict of {', '.join(shown)}{more}" if found else "an empty dict"


def described(name: object, value: object) -> str:
    """Describe one entry of a dict, as in images (uint8 [24, 8, 8])."""
    if isinstance(value, Tensor):
        what = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    else:
        what = type(value).__name__
    return f"{shortened(str(name))} ({shortened(what)})"
