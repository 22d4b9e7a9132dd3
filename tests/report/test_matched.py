"""Curves of quality against diversity: interpolation, the level they share, and files of strangers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report.compare import compare
from genbench.report.matched import MOST, Curve, Place, best, common_level, interpolated, matched
from genbench.report.sampler_sweeps import BYTES, read_sweeps
from genbench.report.table import Query, Table

Write = Callable[..., Path]
FID, RECALL, PRECISION = (
    f"{key}[digits-cnn-v1,n=359,ref=train,ema]" for key in ("fid", "recall", "precision")
)
CONFIG = {"guidance": {"_target_": "genbench.diffusion.guidance.ClassifierFree", "scale": 2.0}}


def places(*pairs: tuple[float, float]) -> list[Place]:
    return [Place(f"scale {i}", x, y) for i, (x, y) in enumerate(pairs)]


def test_on_a_straight_curve_every_level_between_has_the_value_of_the_line() -> None:
    line = places(*((0.1 * k, 3 - 2 * 0.1 * k) for k in range(2, 9)))
    for level in (0.2, 0.25, 0.43, 0.8):
        for curve in (line, line[::-1]):
            assert interpolated(curve, level, -1) == pytest.approx(3 - 2 * level, abs=1e-12)


def test_on_a_parabola_the_error_is_at_most_an_eighth_of_curvature_times_step_squared() -> None:
    step = 0.05
    curve = places(*((step * k, (step * k) ** 2) for k in range(21)))
    for level in (0.013, 0.5, 0.77):
        found = interpolated(curve, level, 1)
        assert found is not None
        assert 0 <= found - level**2 <= 2 * step**2 / 8 + 1e-12


def test_nothing_is_extrapolated_and_of_two_passages_the_better_counts() -> None:
    curve = places((0.2, 5.0), (0.8, 2.0), (0.4, 6.0))
    assert interpolated(curve, 0.19, -1) is None
    assert interpolated(curve, 0.81, -1) is None
    assert interpolated(curve, 0.6, -1) == pytest.approx(3.0)  # on the way there; 4.0 on the way back
    assert interpolated(curve, 0.6, 1) == pytest.approx(4.0)
    assert interpolated(places((0.5, 1.0)), 0.5, -1) == 1.0


def test_the_common_level_lies_inside_all_ranges_or_the_reason_names_the_two_that_do_not_meet() -> None:
    a, b = Curve(0, "a", places((0.1, 1), (0.5, 2))), Curve(1, "b", places((0.414, 1), (0.9, 2)))
    assert common_level([a, b], "recall") == (0.46, "")
    narrow = Curve(2, "c", places((0.4001, 1), (0.4003, 2)))
    assert common_level([a, narrow], "recall")[0] == pytest.approx(0.4002)  # two decimals would lie outside
    far = Curve(3, "far", places((0.7, 1), (0.8, 2)))
    level, why = common_level([a, b, far], "recall")
    assert level is None
    assert why == "no recall that all have: a ends at 0.5, far begins at 0.7"
    assert common_level([a], "recall")[0] is None


def test_the_best_is_picked_by_validation_where_all_settings_have_it() -> None:
    curve = [Place("scale 1", 0.5, 2.0, 9.0), Place("scale 2", 0.4, 3.0, 8.0)]
    assert best(curve, -1).label == "scale 2"
    assert best([curve[0], curve[1]._replace(chosen_by=None)], -1).label == "scale 1"


def sweep(
    path: Path, *rows: tuple[float, float, float], name: str = "guidance", validation: bool = False
) -> None:
    """A table of a sweep over scales in the directory of a run: scale, recall, FID."""
    folder = path.parent / "sampler_sweeps" / "guidance"
    folder.mkdir(parents=True)
    of_validation = FID.replace("train", "validation")
    head = [
        "guidance.scale",
        "passes",
        "seconds_per_image",
        FID,
        RECALL,
        PRECISION,
        *[of_validation] * validation,
    ]
    lines = [[scale, 50, 0.01, fid, recall, 0.9, *[-fid] * validation] for scale, recall, fid in rows]
    texts = [",".join(f'"{x}"' if "[" in str(x) else str(x) for x in line) for line in (head, *lines)]
    (folder / "table.csv").write_text("\n".join(texts) + "\n")


def guided(model: str) -> dict:
    choices = {"model": model, "data": "digits", "guidance": "classifier_free", "conditional": "true"}
    return {"choices": choices, "config": CONFIG}


@pytest.fixture
def swept(tmp_path: Path, write: Write) -> Path:
    sweep(write("ddpm", **guided("ddpm")), (0, 0.8, 4.0), (1, 0.6, 2.0), (4, 0.2, 6.0))
    sweep(write("flow_matching", **guided("flow_matching")), (1, 0.7, 3.0), (2, 0.4, 1.0))
    plain = {FID: 3.5, RECALL: 0.5}
    write("vae", choices={"model": "vae", "data": "digits", "conditional": "false"}, config={}, metrics=plain)
    return tmp_path


def the_table(runs: Path) -> tuple[Table, dict[str, Path]]:
    found = compare(runs, Query())
    (table,) = found.tables
    return table, dict(found.runs.paths)


def test_models_are_ranked_at_equal_recall_and_at_their_best_and_a_single_setting_says_why_it_is_not(
    swept: Path,
) -> None:
    (found, *_) = matched(*the_table(swept))
    assert found.level == 0.55  # of 0.4 to 0.7
    assert [row.curve.name.split()[0] for row in found.rows] == ["flow_matching", "ddpm", "vae"]
    assert [row.at_level for row in found.rows] == [pytest.approx(2.0), pytest.approx(2.5), None]
    assert [row.best.label for row in found.rows] == ["scale 2", "scale 1", "its own setting"]
    assert found.texts[2][1] == "n/a"
    assert any(note.startswith("n/a of vae") and "one setting alone" in note for note in found.notes)
    assert any("picked on the same samples" in note for note in found.notes)
    assert [x.curve.name.endswith("‡") for x in found.rows] == [True, True, False]


def test_settings_that_score_alike_are_no_single_setting_and_no_heading_names_a_level_that_is_not_there(
    tmp_path: Path, write: Write
) -> None:
    sweep(write("ddpm", **guided("ddpm")), (0, 0.8, 4.0), (1, 0.8, 2.0))
    sweep(write("flow_matching", **guided("flow_matching")), (1, 0.7, 3.0), (2, 0.4, 1.0))
    (found, *_) = matched(*the_table(tmp_path))
    assert found.heads[1] == "FID at equal recall"
    assert any(
        note.startswith("n/a of ddpm") and "all its settings have one recall: it has no curve" in note
        for note in found.notes
    )


def test_where_other_samples_picked_the_best_the_note_says_so(tmp_path: Path, write: Write) -> None:
    for model in ("ddpm", "flow_matching"):
        path = write(model, **guided(model))
        sweep(path, (0, 0.8, 4.0), (1, 0.6, 2.0), validation=True)
    (found, *_) = matched(*the_table(tmp_path))
    assert [row.best.label for row in found.rows] == ["scale 0", "scale 0"]
    assert any("picked by other samples" in note for note in found.notes)


def test_curves_beyond_the_largest_number_are_counted_in_a_note(swept: Path, write: Write) -> None:
    for number in range(MOST):
        path = write(f"own_{number}", **guided(f"own_{number}"))
        sweep(path, (0, 0.8, 4.0 + number), (1, 0.6, 2.0 + number))
    (found, *_) = matched(*the_table(swept))
    assert len(found.rows) == MOST
    assert sum("3 more are left out" in note for note in found.notes) == 1


HOSTILE = {
    "not a table": b"<script>alert(1)</script>\n1,2\n",
    "binary": bytes(range(256)),
    "long": b"guidance.scale,passes\n" + b"1,2\n" * 501,
    "wide": (",".join(f"a{k}" for k in range(500)) + ",passes\n").encode(),
    "large": b"passes\n" + b"1\n" * BYTES,
    "twice": b"passes,passes\n1,2\n",
    "ragged": b"guidance.scale,passes\n1\n",
    "no scale": b"guidance.scale,passes\n=cmd|' /C calc'!A0,2\n",
    "infinite": b"guidance.scale,passes\n1,inf\n",
    "quote": b'guidance.scale,passes\n"1,2\n',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_is_no_sweep_costs_a_note_and_no_report(kind: str, swept: Path) -> None:
    folder = swept / "ddpm" / "sampler_sweeps" / "bad"
    folder.mkdir()
    (folder / "table.csv").write_bytes(HOSTILE[kind])
    found, refused = read_sweeps(swept / "ddpm")
    assert len(found) == 1
    assert len(refused) == 1
    assert refused[0].startswith("sampler_sweeps/bad/table.csv: ")
    assert refused[0].isprintable()
    (first, *_) = matched(*the_table(swept))
    assert len(first.rows) == 3
    assert any("Sweeps that cannot be read: ddpm/sampler_sweeps/bad" in note for note in first.notes)


def test_a_link_out_of_the_run_is_not_followed(swept: Path, tmp_path: Path) -> None:
    outside = swept / "flow_matching" / "sampler_sweeps" / "guidance" / "table.csv"
    folder = swept / "ddpm" / "linked"
    folder.mkdir()
    (folder / "table.csv").symlink_to(outside)
    found, refused = read_sweeps(swept / "ddpm")
    assert len(found) == 1
    assert "link to a place outside" in refused[0]


def test_texts_of_a_sweep_are_short_and_printable(tmp_path: Path, write: Write) -> None:
    path = write("ddpm", **guided("ddpm"))
    folder = path.parent / "sweep"
    folder.mkdir()
    (folder / "table.csv").write_text(f"sampler,passes\n\x1b[31m{'a' * 999},2\n")
    ((found,), refused) = read_sweeps(path.parent)
    assert not refused
    text = found.settings[0].values["sampler"]
    assert text.isprintable()
    assert len(text) <= 60


def test_without_sweeps_there_is_no_comparison(tmp_path: Path, write: Write) -> None:
    write("ddpm", **guided("ddpm"))
    assert matched(*the_table(tmp_path)) == []
    assert json.loads((tmp_path / "ddpm" / "result.json").read_text())["run"] == "ddpm"
