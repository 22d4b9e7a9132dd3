import json
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.cli import entrants as module
from genbench.cli.entrants import entrants
from genbench.evaluation.pictures import enlarged, save_grid
from genbench.report.runs import read
from genbench.report.votes import REAL

RESULT = {"genbench": "0.1.0", "choices": {"model": "ddpm"}, "metrics": {"fid[f,n=1,ref=train,ema]": 1.5}}


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Held-out images of 8 x 8 pixels, as if the data set of the run had been read."""
    found = enlarged(torch.full((5, 1, 8, 8), 9, dtype=torch.uint8))
    monkeypatch.setattr(module, "held_out", lambda run: (found, 8, 8))
    return found


def write(runs: Path, name: str, images: torch.Tensor | None, data: str = "digits") -> Path:
    """A finished run with a grid of images; returns where that is."""
    (runs / name / "samples").mkdir(parents=True)
    (runs / name / "result.json").write_text(json.dumps(RESULT | {"data_key": data}))
    grid = runs / name / "samples" / "samples_000000008.png"
    if images is not None:
        save_grid(images, grid)
    return grid


def noise(size: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (9, 1, size, size), generator=torch.manual_seed(0)).to(torch.uint8)


def test_real_images_and_each_run_with_samples_of_their_size_take_part(
    tmp_path: Path, real: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path, "good", noise())
    write(tmp_path, "none", None)
    write(tmp_path, "larger", noise(11))
    write(tmp_path, "linked", None).symlink_to(good)
    write(tmp_path, "broken", None).write_bytes(good.read_bytes()[:200])
    found, data = entrants(read(tmp_path))
    assert data == "digits"
    assert [*found] == [REAL, "good"]
    assert np.array_equal(found["good"](), enlarged(noise()))
    assert np.array_equal(found[REAL](), real)
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in said] == ["broken", "larger", "linked", "none"]
    assert "link to a place outside" in said[2]


def test_runs_of_several_data_sets_are_refused(tmp_path: Path, real: np.ndarray) -> None:
    write(tmp_path, "a", noise())
    write(tmp_path, "b", noise(), data="mnist")
    with pytest.raises(ValueError, match="runs of 2: choose by --filter"):
        entrants(read(tmp_path))
