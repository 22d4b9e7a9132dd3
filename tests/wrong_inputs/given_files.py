"""Samples and statistics as others write them, and functions that draw: what is none of these is refused."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.wrong_inputs import Wrong
from tests.wrong_inputs.npz_files import IMAGES, Code, array_bytes, arrays, file

Give = Callable[[Path], object]
D = 64  # features of the digits' network
COV = np.eye(D)


def stored(content: object, name: str = "x.pt") -> Give:
    """Write anything by torch.save."""
    return lambda folder: torch.save(content, folder / name)


def repacked(folder: Path) -> None:
    """Write a tensor, and pack its bytes again as torch never does."""
    stored(torch.from_numpy(IMAGES))(folder)
    with zipfile.ZipFile(folder / "x.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def archive(folder: Path) -> None:
    """Write an archive of arrays under the name of a single one."""
    np.savez(folder / "x.npz", samples=IMAGES)
    (folder / "x.npz").rename(folder / "x.npy")


def given(target: str, *says: str, files: Give, options: str = "") -> Wrong:
    """A file that `genbench evaluate` refuses as images."""
    return Wrong(f"genbench evaluate {target} --data digits --device cpu {options}".strip(), says, files)


def compared(*says: str, files: Give, name: str = "ref.npz", options: str = "") -> Wrong:
    """A file that `genbench evaluate` refuses as reference statistics, beside good images."""

    def give(folder: Path) -> None:
        np.savez(folder / "x.npz", samples=IMAGES)
        files(folder)

    options = options or "--set 'scores=[fid]'"
    return Wrong(
        f"genbench evaluate x.npz --data digits --device cpu --reference {name} {options}", says, give
    )


def moments(**named: object) -> Give:
    """Write arrays as ref.npz."""
    return lambda folder: np.savez(folder / "ref.npz", **named)


def drawn(target: str, *says: str, code: int = 2) -> Wrong:
    """A function that `genbench evaluate` refuses."""
    return Wrong(f"genbench evaluate {target} --data digits --device cpu", says, code=code)


ROWS = (
    # Arrays without names, or with those of numpy.
    given("x.npz", "x.npz: arr_0 has dtype float64", "must be uint8", files=arrays(arr_0=IMAGES / 255)),
    given(
        "x.npz", "x.npz: arr_1 has shape [3]", "24 integers", files=arrays(arr_0=IMAGES, arr_1=np.arange(3))
    ),
    given("x.npz", "has `samples` and `arr_0`", "keep one", files=arrays(arr_0=IMAGES, samples=IMAGES)),
    given(
        "x.npz",
        "no array `samples` or `arr_0`; it has mu (float64 [64]), sigma (float64 [64, 64])",
        files=arrays(mu=COV[0], sigma=COV),
    ),
    given(
        "x.npy",
        "x.npy has dtype int64",
        "samples.round()",
        files=file(array_bytes(IMAGES.astype(np.int64)), "x.npy"),
    ),
    given("x.npy", "x.npy has shape [24, 8]", "[N, 8, 8, 1]", files=file(array_bytes(IMAGES[:, 0]), "x.npy")),
    given("x.npy", "an archive of arrays", "name it FILE.npz", files=archive),
    given("x.npy", "x.npy is damaged", "numpy.save(FILE, images)", files=file(b"text", "x.npy")),
    given(
        "x.npy", "x.npy states 1,536 bytes", "it is damaged", files=file(array_bytes(IMAGES)[:-9], "x.npy")
    ),
    given(
        "x.npy",
        "x.npy holds Python objects",
        "save numbers",
        files=file(array_bytes(np.array([Code()]), pickled=True), "x.npy"),
    ),
    # Tensors.
    given(
        "x.pt",
        "x.pt has dtype float32 with numbers from 0 to 1",
        files=stored(torch.arange(24 * 64.0).view(24, 8, 8) / 1535),
    ),
    given(
        "x.pt",
        "x.pt has shape [24, 3, 8, 8]",
        "[N, 1, 8, 8]",
        files=stored(torch.zeros(24, 3, 8, 8, dtype=torch.uint8)),
    ),
    given(
        "x.pth",
        "a dict of a (uint8 [24, 8, 8]), n (int)",
        "`samples`",
        files=stored({"a": torch.from_numpy(IMAGES), "n": 3}, "x.pth"),
    ),
    given("x.pt", "x.pt holds a list", "one tensor of images", files=stored([torch.zeros(3)])),
    given("x.pt", "damaged, or holds more than tensors", files=stored(Code())),
    given("x.pt", "not a file that torch.save", files=file(pickle.dumps(Code()), "x.pt")),
    given("x.pt", "not a file that torch.save", files=file(b"", "x.pt")),
    given("x.pt", "damaged, or holds more than tensors", files=repacked),
    given(
        "x.pt",
        "not a dense tensor with all its numbers in the file",
        files=stored(torch.zeros(1, dtype=torch.uint8).expand(10**12, 8, 8)),
    ),
    given("x.pt", "not a dense tensor", files=stored(torch.zeros(24, 8, 8).to_sparse())),
    # Reference statistics.
    compared(
        "--reference none.npz is not a file", "`mu` and `sigma`", files=moments(mu=COV[0]), name="none.npz"
    ),
    compared("no array `mu`; it has arr_0 (uint8 [24, 8, 8])", "mu=mean", files=moments(arr_0=IMAGES)),
    compared("has `mu` and no `sigma`", files=moments(mu=COV[0])),
    compared(
        "mu has shape [64] and sigma [3, 3]", "[d] and [d, d]", files=moments(mu=COV[0], sigma=np.eye(3))
    ),
    compared("mu has shape [1, 64]", files=moments(mu=COV[:1], sigma=COV)),
    compared("mu has dtype int64", "must be a float", files=moments(mu=np.arange(D), sigma=COV)),
    compared(
        "sigma has 64 numbers that are not finite",
        files=moments(mu=COV[0], sigma=np.where(COV > 0, np.nan, 0)),
    ),
    compared("sigma is not symmetric", files=moments(mu=COV[0], sigma=np.triu(np.ones((D, D))))),
    compared("sigma has the eigenvalue -1", "none below 0", files=moments(mu=COV[0], sigma=-COV)),
    compared(
        "ref.npz has the moments of 3 features, and digits-cnn-v1 gives 64",
        "--features",
        files=moments(mu=np.zeros(3), sigma=np.eye(3)),
    ),
    compared(
        "used by FID alone, and the scores are kid",
        "--set 'scores=[fid]'",
        files=moments(mu=COV[0], sigma=COV),
        options="--set 'scores=[kid]'",
    ),
    compared("holds Python objects", files=moments(mu=np.array([Code()]), sigma=COV)),
    # Functions.
    drawn("nowhere_to_be:draw", "the module nowhere_to_be, which is neither on Python's path nor in"),
    drawn("json.py:dump", "the module json.py", "without .py, as json:dump"),
    drawn("json:dmp", "json has no function 'dmp'", "did you mean json:dump?"),
    drawn("json:decoder", "json has no function 'decoder'"),
    drawn("json:loads", "cannot be called as json:loads(n, seed)", "uint8 [N, H, W]"),
    drawn("operator:add", "returned an object of type int; it must return 256 images"),
    drawn("json:dump", "json:dump(256, 1320851271) raised AttributeError", "__init__.py, line", code=1),
    drawn("folder/module.py:draw", "folder/module.py:draw does not exist", "MODULE:FUNCTION"),
    Wrong("genbench evaluate json:dump", ("json:dump is not a run's directory", "--data digits")),
    Wrong("genbench evaluate json:dump --data digits --weights raw", ("--weights raw is of a run",)),
)
