"""Figures of curves."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from genbench.evaluation.figures import Curve, curves_figure, schedule_figure


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a", b"\x89PNG")])
def test_a_schedule_figure_is_in_the_format_of_its_ending(tmp_path: Path, name: str, start: bytes) -> None:
    alpha_bar = np.linspace(1, 0, 11)  # log-SNR is infinite at both ends
    schedule_figure({"linear": alpha_bar, "square": alpha_bar**2}, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_a_schedule_figure_names_every_schedule_and_touches_no_global_state(tmp_path: Path) -> None:
    schedule_figure({"one": np.linspace(1, 0.1, 11), "two": np.ones(11)}, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert "<!-- one -->" in drawn
    assert "<!-- two -->" in drawn
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_an_unknown_picture_format_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not supported"):
        schedule_figure({"one": np.linspace(1, 0.1, 11)}, tmp_path / "a.xyz")
    assert not list(tmp_path.iterdir())


def test_a_schedule_that_another_covers_is_drawn_wider_than_it(tmp_path: Path) -> None:
    table = np.linspace(1, 0.1, 11)
    schedule_figure({"below": table, "above": table + 1e-3, "apart": table**3}, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    widths = [float(width) for width in re.findall(r"stroke-width: ([\d.]+)", drawn)]
    assert max(widths) > 2 * sorted({*widths})[-2]


def test_the_ticks_of_evaluations_are_the_numbers_that_were_measured(tmp_path: Path) -> None:
    passes, fid = np.array([5, 10, 20, 50]), np.array([90.0, 30.0, 9.0, 8.0])
    lines = {"ddim": Curve(passes, fid, fid - 1, fid + 1)}
    levels = {"held-out images": 2.0, "raw weights": 3.0}
    curves_figure(lines, tmp_path / "a.svg", x="NFE", y="FID", logarithmic=True, levels=levels)
    written = re.findall(r"<!-- (.*?) -->", (tmp_path / "a.svg").read_text())
    assert [text for text in written if text.isdigit()][:4] == ["5", "10", "20", "50"]
    assert not [text for text in written if "mathdefault" in text]  # powers of ten
    assert {"NFE", "FID", "ddim", "held-out images", "raw weights"} <= {*written}


def test_scores_below_zero_are_drawn_on_a_linear_axis(tmp_path: Path) -> None:
    kid = {"ddim": Curve(np.array([5, 50]), np.array([0.1, -0.01]))}
    curves_figure(kid, tmp_path / "a.svg", x="NFE", y="KID", logarithmic=True)
    assert "−0.01" in (tmp_path / "a.svg").read_text() or "0.00" in (tmp_path / "a.svg").read_text()
