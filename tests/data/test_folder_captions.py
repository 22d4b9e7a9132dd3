import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from genbench.data import ImageData, ImageFolder, prepare
from genbench.runtime.progress import Progress

QUIET = Progress(None)


def draw(path: Path, level: int = 200) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), level).save(path)


def source(root: Path, captions: str = "auto") -> ImageFolder:
    return ImageFolder(str(root), size=8, channels=1, captions=captions)


def read(root: Path, captions: str = "auto") -> ImageData:
    return prepare(source(root, captions), cache=root.parent / "cache", progress=QUIET)


def write(path: Path, lines: Sequence[object]) -> None:
    """Write lines of JSON, or, of texts and bytes, the lines themselves."""
    content = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(content) + b"\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten images, each of its own grey level."""
    for i in range(10):
        draw(tmp_path / "photos" / f"{i}.png", 20 * i)
    return tmp_path / "photos"


def by_level(data: ImageData) -> dict[int, str]:
    """The grey level of each image, by twenties -> its caption."""
    return {
        int(image[0, 0, 0]) // 20: caption
        for split in (data.train, data.test)
        for image, caption in zip(split.images, split.captions or (), strict=True)
    }


@pytest.mark.parametrize("captions", ["auto", "metadata"])
@pytest.mark.parametrize("key", ["text", "caption"])
def test_captions_of_the_hubs_metadata_are_those_of_their_images(root: Path, key: str, captions: str) -> None:
    write(
        root / "metadata.jsonl", [{"file_name": f"{i}.png", key: f"image {i}", "box": [1]} for i in range(10)]
    )
    data = read(root, captions)
    assert by_level(data) == {i: f"image {i}" for i in range(10)}
    assert source(root).remarks() == []  # the file is read, so it is not among the others


def test_metadata_may_lie_beside_the_images_of_each_split_or_above_them(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split, numbers in (("train", range(6)), ("test", range(6, 8))):
        for i in numbers:
            draw(root / split / ("cat" if i % 2 else "dog") / f"{i}.png", 20 * i)
    files = [str(path.relative_to(root)) for path in sorted(root.rglob("*.png"))]
    lines = [{"file_name": file, "text": f"image {file[-5]}"} for file in files]
    write(root / "metadata.jsonl", lines)
    above = read(root)
    (root / "metadata.jsonl").unlink()
    for split in ("train", "test"):
        names = [(file.removeprefix(f"{split}/"), file[-5]) for file in files if file.startswith(split)]
        inner = [{"file_name": f"./{name}", "text": f"image {i}"} for name, i in names]
        write(root / split / "metadata.jsonl", inner)
    beside = read(root)
    assert by_level(above) == by_level(beside) == {i: f"image {i}" for i in range(8)}
    assert above.class_names == ("cat", "dog")
    assert above.key != beside.key


def test_a_text_file_beside_each_image_gives_its_first_line(root: Path) -> None:
    for i in range(10):
        (root / f"{i}.txt").write_text(f"\n  image  {i}\nwith a second caption\n")
    (root / "9.txt").rename(root / "9.TXT")
    (root / "0.txt").write_bytes(b"\xef\xbb\xbfimage 0\r\n")
    assert by_level(read(root)) == {i: f"image {i}" for i in range(10)}
    assert source(root).remarks() == []
    assert source(root, "none").remarks() == [f"Not read in {root}: files of .txt (10)."]


def test_captions_change_the_key_and_a_folder_without_them_has_the_key_that_it_had(root: Path) -> None:
    bare = source(root).key()
    (root / "LICENCE.txt").write_text("free")
    assert source(root).key() == source(root, "none").key() == bare
    for i in range(10):
        (root / f"{i}.txt").write_text("a cat")
    first = source(root).key()
    assert first != bare
    assert source(root, "none").key() == bare
    (root / "3.txt").write_text("another cat")
    assert source(root).key() != first


def test_without_captions_the_images_have_the_key_that_they_had_before_captions_were_read(
    root: Path,
) -> None:
    def without() -> ImageData:
        return prepare(source(root), cache=root.parent / "cache", progress=QUIET, captions=False)

    before = read(root)
    write(root / "metadata.jsonl", [{"file_name": f"{i}.png", "text": f"image {i}"} for i in range(10)])
    assert without().key == without().training_key == before.key != read(root).key
    assert without().train.captions is None
    assert read(root).train.captions is not None  # whichever store was made first


def test_captions_of_some_images_are_left_alone_and_named(root: Path) -> None:
    for i in range(8):
        (root / f"{i}.txt").write_text("a cat")
    found = source(root)
    found.check()
    assert not found.captioned
    fault = r"8\.png has no caption, and 1 more of 10 images have none: add a file of the same name"
    assert re.search(f"Captions are not read: .*{fault}", " ".join(found.remarks()))
    with pytest.raises(ValueError, match=f"needs a caption for each image: .*{fault}"):
        found.check_captions()
    with pytest.raises(ValueError, match=rf"data\.captions=txt: .*{fault}.*data\.captions=none"):
        source(root, "txt").check()


def test_metadata_of_other_kinds_is_no_fault(root: Path) -> None:
    write(root / "metadata.jsonl", [{"file_name": f"{i}.png", "label": i} for i in range(10)])
    assert not source(root).captioned
    assert source(root).remarks() == [f"Not read in {root}: files of .jsonl (1)."]
    with pytest.raises(ValueError, match=r"no line of .*metadata\.jsonl has a caption"):
        source(root, "metadata").check()
    for i in range(10):
        (root / f"{i}.txt").write_text("a cat")
    assert source(root).captioned  # by the other files


LINE = {"file_name": "3.png", "text": "three"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"file_name": "3.png", "text": " "}, "line 4: the caption is empty"),
        ({"file_name": "3.png", "text": ["a", "b"]}, "line 4: the caption is ['a', 'b'], not a text"),
        ({"file_name": "3.png", "text": "x" * 20_000}, "line 4: the caption has 20,000 characters"),
        ({"file_name": "3.png", "text": "a\x00b"}, r"line 4: the caption holds a control character, '\x00'"),
        ({"file_name": "3.png", "text": "\ud800"}, "line 4: the caption holds half of a surrogate pair"),
        (b'{"file_name": "3.png", "text": "caf\xe9"}', "line 4 is not UTF-8 text: save it in that encoding"),
        ({"file_name": "2.png", "text": "again"}, "line 4: 2.png is named a second time, after"),
        ({"file_name": "./2.png", "text": "again"}, "line 4: 2.png is named a second time, after"),
        ({"file_name": "33.png", "text": "lost"}, "line 4: there is no image 33.png: add it, or remove"),
        ({"file_name": "../../etc/passwd", "text": "x"}, "is not a path inside of the folder"),
        ({"file_name": "/etc/passwd", "text": "x"}, "is not a path inside of the folder"),
        ({"file_name": "a/../../x.png", "text": "x"}, "is not a path inside of the folder"),
        ({"file_name": "3.png\x1b[31m", "text": "x"}, r"file_name is '3.png\x1b[31m', which is not a path"),
        ({"text": "no name"}, "line 4 has no file_name"),
        ({"file_name": 3, "text": "x"}, "line 4 has no file_name"),
        (["3.png", "x"], "line 4 is no object: write"),
        (b"3.png,three", "line 4 is not JSON"),
        (b"[" * 100_000, "line 4 is not JSON (it is nested more than 64 deep): mend it"),
        (b'{"file_name": "3.png", "text": "' + b"x" * 2_000_000 + b'"}', "line 4 has more than the 1,048"),
        ({"file_name": "3.png"}, "3.png has no caption: add a line in metadata.jsonl"),
    ],
)  # fmt: skip
def test_a_fault_in_metadata_names_the_file_and_the_line(root: Path, line: object, message: str) -> None:
    lines = [{"file_name": f"{i}.png", "text": f"image {i}"} for i in range(10) if i != 3]
    write(root / "metadata.jsonl", [*lines[:3], line, *lines[3:]])
    with pytest.raises(ValueError) as error:  # noqa: PT011
        source(root, "metadata").check()
    assert message in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600
    careless = source(root)  # which trains without captions, and says why
    careless.check()
    assert not careless.captioned
    assert message in careless.remarks()[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "4.txt, line 1: the caption is empty"),
        (b"\n \n", "4.txt, line 1: the caption is empty"),
        (b"caf\xe9", "4.txt is not UTF-8 text"),
        (b"\n\x1b]0;owned\x07", "4.txt, line 2: the caption holds a control character"),
        (b"x" * 12_000, "4.txt, line 1: the caption has 12,000 characters"),
        (b"x" * 10_000_000, "4.txt has 10,000,000 bytes, more than the 160,000 that are read"),
    ],
)
def test_a_fault_in_a_text_file_names_it(root: Path, content: bytes, message: str) -> None:
    for i in range(10):
        (root / f"{i}.txt").write_text("a cat")
    (root / "4.txt").write_bytes(content)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read(root)
    assert message in str(error.value)
    assert str(error.value).endswith("A model without text reads no captions: text=none")
    assert read(root, "none").train.captions is None


@pytest.mark.parametrize("name", ["3.txt", "metadata.jsonl"])
def test_no_link_out_of_the_folder_is_read(root: Path, name: str) -> None:
    for i in range(10):
        (root / f"{i}.txt").write_text("a cat")
    secret = root.parent / "secret"
    secret.write_text('{"file_name": "3.png", "text": "secret"}')
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(secret)
    with pytest.raises(ValueError, match=r"is a link to a place outside of .*, which is not followed"):
        prepare(source(root, "txt" if name == "3.txt" else "metadata"), cache=root.parent, progress=QUIET)


def test_a_pipe_in_the_place_of_metadata_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "metadata.jsonl")
    with pytest.raises(ValueError, match="is a named pipe, not a regular file"):
        source(root, "metadata").check()


def test_unknown_modes_are_refused_with_those_there_are(root: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.captions is 'json'; choose from auto .*, none .*, metadata"):
        source(root, "json")
