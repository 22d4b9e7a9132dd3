"""The notebook docs/tour.ipynb runs from its first cell to its last, in a kernel of its own."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow  # a kernel that imports torch and trains twice
def test_every_cell_of_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tour = nbformat.read(ROOT / "docs" / "tour.ipynb", as_version=4)
    for cell in tour.cells:  # a tour of two cores takes a minute; this one is to take seconds
        cell.source = cell.source.replace("budget.images=3000", "budget.images=256")
    nbclient.NotebookClient(tour, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (shown,) = (
        out
        for cell in tour.cells
        if cell.cell_type == "code"
        for out in cell.outputs[-1:]
        if "image/png" in out.get("data", {})
    )
    assert shown
    assert tour.cells[-1].outputs[0]["data"]["text/plain"] == "True"
    assert (tmp_path / "runs" / "default").is_dir()
