"""Tensors that somebody saved by torch: read as they are, refused where they are none, run never."""

import random
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from genbench.evaluation.given_images import read
from genbench.evaluation.tensor_file import read_tensors

COLOUR = (3, 6, 5)
BYTES = torch.randint(0, 256, (4, 6, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("ending", [".pt", ".pth", ".PT"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_a_tensor_of_images_is_read_with_its_channels_first_or_last(
    ending: str, channels_first: bool, tmp_path: Path
) -> None:
    torch.save(BYTES.permute(0, 3, 1, 2) if channels_first else BYTES, tmp_path / f"x{ending}")
    found = read(tmp_path / f"x{ending}", shape=COLOUR, num_classes=0)
    assert torch.equal(found.images, BYTES.permute(0, 3, 1, 2))
    assert found.labels is None


def test_a_dict_gives_samples_and_labels(tmp_path: Path) -> None:
    torch.save({"samples": BYTES, "labels": torch.tensor([0, 2, 1, 0]), "epoch": 3}, tmp_path / "x.pt")
    found = read(tmp_path / "x.pt", shape=COLOUR, num_classes=3)
    assert torch.equal(found.images, BYTES.permute(0, 3, 1, 2))
    assert found.labels is not None
    assert found.labels.tolist() == [0, 2, 1, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64, torch.bool, torch.int64])
def test_a_tensor_of_another_dtype_is_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save((BYTES > 99).to(dtype), tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt has dtype .*; it must be uint8"):
        read(tmp_path / "x.pt", shape=COLOUR, num_classes=0)


def test_a_file_with_any_byte_changed_or_cut_is_read_or_refused(tmp_path: Path) -> None:
    path, draw = tmp_path / "x.pt", random.Random(0)
    torch.save(BYTES, path)
    content = path.read_bytes()
    for _ in range(100):
        hurt = bytearray(content)
        hurt[draw.randrange(len(hurt))] ^= 1 << draw.randrange(8)
        path.write_bytes(hurt[: draw.choice([len(hurt), draw.randrange(len(hurt))])])
        with suppress(ValueError):
            assert read_tensors(path, ("samples",)).keys() == {""}
