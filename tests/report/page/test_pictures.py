"""The PNG files of runs, as far as a page shows them."""

from pathlib import Path

import pytest
from PIL import Image

from genbench.report.page.pictures import Pictures, embedded, pictures_of, size_of


def test_what_is_no_picture_is_not_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<svg onload=alert(1)>")
    pictures = Pictures(embedded)
    assert pictures.source(tmp_path / "a.png", tmp_path) is None
    assert "a.png is not a PNG file" in pictures.refused[tmp_path / "a.png"]


def animation(path: Path, format: str) -> None:
    """Write an animation of two frames."""
    frames = [Image.new("L", (10, 6), shade) for shade in (0, 200)]
    frames[0].save(path, format=format, save_all=True, append_images=frames[1:], duration=50, lossless=True)


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_animations_are_shown_by_their_own_type(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"animation_000000001.{ending}"
    animation(path, ending)
    assert size_of(path.read_bytes(), f".{ending}") == (10, 6)
    source = Pictures(embedded).source(path, tmp_path)
    assert source is not None
    assert source.startswith(f"data:image/{ending};base64,")
    other = path.rename(path.with_suffix(".gif" if ending == "webp" else ".webp"))
    pictures = Pictures(embedded)
    assert pictures.source(other, tmp_path) is None  # its ending is not what it holds
    assert "is not a" in pictures.refused[other]


def test_only_an_animation_moves(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for name in ("samples_000000001.gif", "animation_000000001.png", "animation_000000001.mp4"):
        (tmp_path / "samples" / name).touch()
    (tmp_path / "samples" / "animation_000000002.webp").touch()
    found = pictures_of(tmp_path)
    assert {kind: path.name for kind, path in found.items()} == {"animation": "animation_000000002.webp"}


def test_the_last_picture_of_each_kind_is_shown_in_the_order_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for name in ("other_000000001", "samples_000000009", "samples_000000010", "forward_000000009", "real"):
        (tmp_path / "samples" / f"{name}.png").touch()
    assert [(kind, path.stem) for kind, path in pictures_of(tmp_path).items()] == [
        ("samples", "samples_000000010"),
        ("forward", "forward_000000009"),
        ("other", "other_000000001"),
    ]


def test_a_page_holds_pictures_up_to_its_limit_and_names_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{name}.png" for name in "ab"]
    for path in paths:
        Image.new("L", (8, 8), 9).save(path)
    monkeypatch.setattr("genbench.report.page.pictures.PAGE_BYTES", paths[0].stat().st_size + 1)
    pictures = Pictures(lambda content: f"{len(content)} bytes")
    assert [pictures.source(path, tmp_path) for path in paths] == [f"{paths[0].stat().st_size} bytes", None]
    assert "b.png does not fit" in pictures.refused[paths[1]]
