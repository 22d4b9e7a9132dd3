"""Animations: frames, times, sizes, and what ffmpeg gets."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from genbench.evaluation.animation import (
    FRAMES,
    animated,
    formats_of,
    milliseconds,
    sample_count,
    save_animation,
)
from genbench.evaluation.pictures import BORDER
from genbench.tracking.moving_picture import gif_of, last_frame
from tests.toys import toy_model

FFMPEG = """#!{python}
import sys
raw, words = sys.stdin.buffer.read(), sys.argv[1:]
with open(words[-1], "wb") as file:
    file.write(" ".join(words[:-1]).encode() + b"\\n" + raw)
"""
BROKEN = "#!/bin/sh\ncat > /dev/null\necho 'Unknown encoder' >&2\nexit 1\n"


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def frames_of(path: Path) -> list[tuple[np.ndarray, int]]:
    """All frames of a file as RGB, each with its milliseconds."""
    with Image.open(path) as image:
        return [
            (np.asarray(frame.convert("RGB")), frame.info["duration"])
            for frame in ImageSequence.Iterator(image)
            if frame.load() is not None
        ]


@pytest.mark.parametrize(("ending", "channels"), [("webp", 1), ("webp", 3), ("gif", 1)])
def test_each_frame_holds_the_pixels_of_its_states_enlarged(
    tmp_path: Path, ending: str, channels: int
) -> None:
    states, path = noise(5, 4, channels, 8, 8), tmp_path / f"a.{ending}"
    save_animation(states, path)
    found = frames_of(path)
    assert len(found) == 5
    scale, size = 12, 96 + BORDER  # 8 pixels to 96, a line before each of two rows and columns
    for (pixels, _), state in zip(found, states, strict=True):
        assert pixels.shape == (2 * size + BORDER, 2 * size + BORDER, 3)
        for i, image in enumerate(state):
            top, left = i // 2 * size + BORDER, i % 2 * size + BORDER
            shown = pixels[top : top + 96, left : left + 96]
            expected = image.expand(3, 8, 8).permute(1, 2, 0).numpy().repeat(scale, 0).repeat(scale, 1)
            assert np.array_equal(shown, expected)


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_the_samples_stay_before_the_animation_begins_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    save_animation(noise(10, 1, 1, 8, 8), path)
    assert [time for _, time in frames_of(path)] == [300] * 9 + [2000]
    with Image.open(path) as image:
        assert image.info["loop"] == 0  # without end
    assert sum(milliseconds(FRAMES)[:-1]) == pytest.approx(3000, rel=0.1)


def test_an_animation_ends_in_the_samples_of_the_same_rng() -> None:
    model = toy_model().eval()
    states = animated(model, 3, None, stream=torch.Generator().manual_seed(1), frames=4)
    drawn = model.sample(3, rng=torch.Generator().manual_seed(1))
    assert states.shape == (4, 3, 1, 4, 4)
    assert torch.equal(states[-1], ((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


@pytest.mark.parametrize(
    ("shape", "n"),
    [((1, 8, 8), 16), ((1, 28, 28), 16), ((3, 32, 32), 9), ((3, 64, 64), 4), ((3, 512, 512), 4)],
)
def test_large_images_are_shown_fewer_at_a_time(shape: tuple[int, int, int], n: int) -> None:
    assert sample_count(shape) == n


def test_other_endings_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.png; its ending must be one of \.webp, \.gif, \.mp4"):
        save_animation(noise(2, 1, 1, 8, 8), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program of this text first in PATH, under the name of ffmpeg."""
    folder.mkdir()
    (folder / "ffmpeg").write_text(text)
    (folder / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_ffmpeg_gets_raw_frames_of_even_size_on_its_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a program in its place, which writes its arguments and its input into the file."""
    program(tmp_path / "bin", FFMPEG.format(python=sys.executable), monkeypatch)
    states, path = noise(3, 1, 1, 9, 9), tmp_path / "a b; touch c.mp4"  # no shell reads the name
    save_animation(states, path)
    words, _, raw = path.read_bytes().partition(b"\n")
    assert words.decode().split() == [
        *("-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-r", "24", "-s", "106x106"),
        *("-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-y"),
    ]
    frames = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 106, 106, 3)
    assert len(frames) == 24 + 24 + 48  # a second each, and two for the last
    for number, state in ((0, 0), (24, 1), (48, 2), (95, 2)):
        inner = frames[number, BORDER : BORDER + 99 : 11, BORDER : BORDER + 99 : 11]
        assert np.array_equal(inner, states[state, 0].permute(1, 2, 0).expand(9, 9, 3).numpy())
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, "bin"]


def test_a_video_that_ffmpeg_does_not_write_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", BROKEN, monkeypatch)
    with pytest.raises(OSError, match="ffmpeg wrote no video: Unknown encoder"):
        save_animation(noise(2, 1, 1, 8, 8), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_mp4_without_ffmpeg_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"ffmpeg, which is not found in PATH: .* webp or gif"):
        save_animation(noise(2, 1, 1, 8, 8), tmp_path / "a.mp4")
    assert formats_of("mp4") == ["webp", "mp4"]


def test_a_webp_becomes_a_gif_of_the_same_frames_and_times(tmp_path: Path) -> None:
    save_animation(noise(4, 1, 1, 8, 8), tmp_path / "a.webp")
    (tmp_path / "b.gif").write_bytes(gif_of(tmp_path / "a.webp"))
    one, other = frames_of(tmp_path / "a.webp"), frames_of(tmp_path / "b.gif")
    assert [time for _, time in one] == [time for _, time in other]
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(one, other, strict=True))
    assert np.array_equal(np.asarray(last_frame(tmp_path / "a.webp")), one[-1][0])
