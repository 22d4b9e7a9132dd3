"""The ten lines of Python in the README run as they stand there."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"(?s)^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_ten_lines_run_and_print_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert BLOCKS[0].startswith("import genbench\n")
    small = BLOCKS[0].replace("budget.images=20000", "budget.images=640")
    exec(compile(small, "README.md", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert all(float(word) > 0 for word in first.split())
    assert "fid[digits-cnn-v1,n=64,ref=train,given]" in second
    with Image.open("grid.png") as grid:
        assert len(np.unique(grid)) > 2
