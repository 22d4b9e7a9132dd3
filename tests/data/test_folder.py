import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.data import ImageData, ImageFolder, ImageSource, prepare, to_float
from genbench.runtime.progress import Progress

QUIET = Progress(None)


def draw(path: Path, colour: tuple[int, ...] | int = (200, 30, 90), size: tuple[int, int] = (8, 8)) -> None:
    """Save an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else {3: "RGB", 4: "RGBA"}[len(colour)], size, colour).save(path)


def read(root: Path, *, size: int = 8, channels: int = 3) -> ImageData:
    return prepare(
        ImageFolder(str(root), size=size, channels=channels), cache=root.parent / "cache", progress=QUIET
    )


def only_image(path: Path, *, size: int = 4, channels: int = 3) -> torch.Tensor:
    """The image at `path`, which is all of the training split, as (C, H, W)."""
    draw(path.parents[1] / "test" / "other.png")
    return read(path.parents[1], size=size, channels=channels).train.images[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "my photos"


@pytest.mark.parametrize(
    "held_out", ["test", "val", "valid", "validation", "dev", "eval", "testing", "Test", "VALID"]
)
def test_train_and_test_folders_are_the_splits_and_their_folders_the_classes(
    root: Path, held_out: str
) -> None:
    for split in ("train", held_out):
        for level, name in ((10, "cat"), (240, "dog")):
            for i in range(3 if split == "train" else 1):
                draw(root / split / name / f"{i}.png", level)
    data = read(root, channels=1)
    assert (len(data.train), len(data.test), data.class_names) == (6, 2, ("cat", "dog"))
    assert data.train.images[:, 0, 0, 0].tolist() == [10] * 3 + [240] * 3
    assert data.train.labels.tolist() == [0] * 3 + [1] * 3
    assert data.test.labels.tolist() == [0, 1]


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("TRAIN", "val"), ("training", "testing")])
def test_folders_of_splits_may_be_written_in_any_case(root: Path, train: str, test: str) -> None:
    for file in (f"{train}/cat/a.png", f"{train}/dog/b.png", f"{test}/dog/c.png"):
        draw(root / file)
    source = ImageFolder(str(root), size=8)
    assert source.files == {"train": ["cat/a.png", "dog/b.png"], "test": ["dog/c.png"]}
    assert source.class_names == ("cat", "dog")


def test_what_lies_beside_the_folders_of_the_splits_is_named(root: Path) -> None:
    for file in ("train/a.png", "test/b.png", "val/c.png", "extra/d.png", "e.png"):
        draw(root / file)
    (root / "README.txt").write_text("which may lie there")
    source = ImageFolder(str(root), size=8)
    assert source.counts() == {"train": 1, "test": 1}
    assert source.remarks() == [
        f"Not read in {root}, beside the folders of the splits: e.png, extra, val.",
    ]


def test_a_folder_of_training_images_alone_has_classes_and_a_share_is_held_out(root: Path) -> None:
    for i in range(30):
        draw(root / "train" / ("cat" if i % 2 else "dog") / f"{i:02}.png", i)
    source = ImageFolder(str(root), size=8, channels=1, test_fraction=0.2)
    assert source.counts() == {"train": 24, "test": 6}
    assert source.class_names == ("cat", "dog")
    assert [label for _, label in source.decode("test")] == [
        1 - int(file[-6:-4]) % 2 for file in source.files["test"]
    ]
    (remark,) = source.remarks()
    assert "no folder of test images" in remark
    assert "6 of the images in train/ are held out" in remark
    plain = ImageFolder(str(root / "train"), size=8, channels=1, test_fraction=0.2)
    assert plain.class_names == source.class_names
    assert plain.key() != source.key()


def test_a_class_may_be_called_train(root: Path) -> None:
    for i in range(10):
        draw(root / ("train" if i % 2 else "bus") / f"{i}.png")
    source = ImageFolder(str(root), size=8)
    assert source.class_names == ("bus", "train")
    assert source.remarks() == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("test/a.png", "test/b.png"), "holds test images alone (test): put the training images into train"),
        (("val/a/1.png", "Test/b/2.png"), "holds test images alone (Test, val)"),
        (("train/a.png", "Train/b.png", "test/c.png"), "Train and train, which differ by case alone"),
        (("a.png",), "of them, at least one, are held out, so that none is left to train on"),
    ],
)
def test_layouts_that_say_two_things_or_lack_training_images_are_refused(
    root: Path, files: tuple[str, ...], message: str
) -> None:
    for file in files:
        draw(root / file)
    with pytest.raises(ValueError, match=re.escape(message)):
        ImageFolder(str(root), size=8).check()


def test_a_folder_without_images_says_what_it_has(root: Path) -> None:
    root.mkdir()
    (root / "images.zip").write_bytes(b"PK")
    (root / "a.png").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError) as error:
        ImageFolder(str(root), size=8).check()
    assert "files of .zip (1)" in str(error.value)
    assert "broken links such as a.png (1)" in str(error.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (("a.png", "b.png"), "images lie directly in {root}, such as"),
        (
            ("train/a.png", "train/b/b.png", "test/b/c.png"),
            "images lie directly in {root}/train, such as a.png",
        ),
        (("one/a.png", "one/b.png"), "all lie in one folder, {root}/one"),
        (
            ("train/a/b/1.png", "train/c/2.png", "test/c/3.png"),
            "{root}/train/a/b/1.png lies in a/b",
        ),
        (("flowers/rose/1.png", "flowers/tulip/2.png"), "a folder inside another"),
    ],
)
def test_a_folder_without_labels_says_why(root: Path, files: tuple[str, ...], reason: str) -> None:
    for file in files:
        draw(root / file)
    with pytest.raises(ValueError, match="put each class into a folder of its own") as error:
        ImageFolder(str(root), size=8).check_labels()
    assert reason.format(root=root) in str(error.value)


def test_a_class_without_training_images_is_refused_where_labels_are_asked_for(root: Path) -> None:
    for file in ("train/a/1.png", "train/b/2.png", "test/a/3.png"):
        draw(root / file)
    ImageFolder(str(root), size=8).check_labels()
    draw(root / "test/c/4.png")
    with pytest.raises(ValueError, match=r"1 of 3 have test images alone, such as .*test/c/4\.png"):
        ImageFolder(str(root), size=8).check_labels()


def test_damaged_images_are_counted_and_the_first_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genbench.data.folder.CHUNK_IMAGES", 7)
    for i in range(40):
        draw(root / "train" / f"{i:02}.png", i)
        draw(root / "test" / f"{i:02}.png", i)
    for number in (20, 22, 39):
        (root / "train" / f"{number}.png").write_bytes(b"")
    (root / "test" / "05.png").write_text("text")
    with pytest.raises(ValueError, match="cannot be read") as error:
        read(root)
    assert str(error.value) == (
        f"{root}/train/20.png cannot be read (it is empty); repair it, or remove it from the folder. "
        "The same holds for 3 more of its images"
    )


def test_a_tree_without_splits_is_split_by_a_fixed_rule(root: Path) -> None:
    for i in range(30):
        draw(root / f"{i:02}.png", i)
    source = ImageFolder(str(root), size=8, test_fraction=0.2)
    assert source.counts() == {"train": 24, "test": 6}
    assert sorted(source.files["train"] + source.files["test"]) == [f"{i:02}.png" for i in range(30)]
    assert [file[:2] for file in source.files["test"]] == ["00", "02", "03", "04", "06", "18"]


def test_the_smallest_tree_still_has_one_test_image(root: Path) -> None:
    draw(root / "a.png")
    draw(root / "b.png")
    assert ImageFolder(str(root), size=8).counts() == {"train": 1, "test": 1}


@pytest.mark.parametrize(
    "files",
    [
        ("a.png", "b.png"),  # no folders
        ("one/a.png", "one/b.png"),  # one folder tells nothing apart
        ("one/a.png", "two/b.png", "c.png"),  # an image of no class
        ("one/a.png", "two/deep/b.png"),  # deeper than classes are
    ],
)
def test_other_trees_have_no_labels(root: Path, files: tuple[str, ...]) -> None:
    for file in files:
        draw(root / file)
    source = ImageFolder(str(root), size=8)
    assert (source.num_classes, source.class_names) == (0, ())
    assert {label for _, label in source.decode("train")} == {-1}


def test_png_jpeg_webp_bmp_and_tiff_are_read_and_all_else_is_passed_over(root: Path) -> None:
    for name in ("a.png", "b.JPG", "c.jpeg", "d.webp", "e.png", "f.bmp", "g.TIF", "h.tiff"):
        draw(root / name)
    (root / "notes.txt").write_text("no image")
    (root / "._a.png").write_bytes(b"left by another system")
    draw(root / ".thumbnails" / "a.png")
    images = torch.cat([read(root).train.images, read(root).test.images])
    assert len(images) == 8
    # JPEG and WebP are lossy: one flat colour comes back within a few levels.
    assert (images.int() - torch.tensor([200, 30, 90]).view(3, 1, 1)).abs().max() <= 4


@pytest.mark.parametrize(("size", "centre"), [((12, 4), 1), ((4, 12), 1)])
def test_the_centre_of_a_long_image_is_kept(root: Path, size: tuple[int, int], centre: int) -> None:
    w, h = size
    stripes = np.kron(np.array([0, 100, 200], np.uint8), np.ones((4, 4), np.uint8))
    path = root / "train" / "a.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(stripes if w > h else stripes.T.copy()).save(path)
    assert only_image(path, channels=1).unique().tolist() == [100 * centre]


def test_an_image_of_the_right_size_is_not_touched(root: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    path = root / "train" / "a.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path)
    assert np.array_equal(only_image(path, size=8).permute(1, 2, 0).numpy(), pixels)


def test_a_large_image_is_averaged_not_sampled(root: Path) -> None:
    chequered = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    path = root / "train" / "a.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(chequered).save(path)
    assert (only_image(path, channels=1).float() - 127.5).abs().max() <= 1


def test_exif_orientation_is_applied(root: Path) -> None:
    path = root / "train" / "a.png"
    path.parent.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn clockwise by a quarter": what lies on the left comes to the top
    halves = np.zeros((8, 8), np.uint8)
    halves[:, :4] = 255
    Image.fromarray(halves).save(path, exif=exif)
    image = only_image(path, size=8, channels=1)[0]
    assert image[:4].unique().tolist() == [255]
    assert image[4:].unique().tolist() == [0]


def test_grey_palette_and_sixteen_bit_images_become_the_channels_asked_for(root: Path) -> None:
    folder = root / "train"
    folder.mkdir(parents=True)
    grey = Image.new("L", (4, 4), 77)
    grey.save(folder / "a_grey.png")
    Image.new("RGB", (4, 4), (77, 77, 77)).quantize(4).save(folder / "b_palette.png")
    Image.fromarray(np.full((4, 4), 77 * 257, np.uint16)).save(folder / "c_sixteen.png")
    grey.convert("1", dither=Image.Dither.NONE).save(folder / "d_bit.png")
    draw(root / "test" / "a.png")
    for channels in (1, 3):
        images = read(root, size=4, channels=channels).train.images
        assert images.shape == (4, channels, 4, 4)
        assert [image.unique().tolist() for image in images] == [[77], [77], [77], [0]]


@pytest.mark.parametrize(("alpha", "level"), [(0, 255), (255, 40), (128, 147)])
def test_transparency_is_laid_on_white(root: Path, alpha: int, level: int) -> None:
    draw(root / "train" / "a.png", (40, 40, 40, alpha))
    assert only_image(root / "train" / "a.png").unique().tolist() == [level]


def test_a_damaged_image_is_named_and_leaves_nothing(root: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for i in range(4):
        draw(root / "train" / f"{i}.jpg")
    Image.fromarray(pixels).save(root / "train" / "bad.jpg")
    whole = (root / "train" / "bad.jpg").read_bytes()
    draw(root / "test" / "a.png")
    for content in (b"", b"not an image", whole[: len(whole) // 2]):
        (root / "train" / "bad.jpg").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.jpg cannot be read .* remove it"):
            read(root)
        assert not [path for path in (root.parent / "cache" / "data").iterdir() if path.suffix != ".lock"]


def test_the_key_follows_files_size_and_channels(root: Path) -> None:
    for i in range(3):
        draw(root / f"{i}.png")
    key = ImageFolder(str(root), size=8).key()
    assert ImageFolder(str(root), size=8, flip=False).key() == key  # flips are made after the store
    os.utime(root / "1.png", (1, 1))
    touched = ImageFolder(str(root), size=8).key()
    keys = {
        key,
        touched,
        ImageFolder(str(root), size=9).key(),
        ImageFolder(str(root), size=8, channels=1).key(),
    }
    (root / "3.png").write_bytes((root / "2.png").read_bytes())
    assert len(keys | {ImageFolder(str(root), size=8).key()}) == 5


def test_the_name_is_fit_for_a_file_and_tells_the_size(root: Path) -> None:
    assert ImageFolder(str(root), size=8).name == "my_photos_8px"


def test_more_images_than_one_chunk_keep_their_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbench.data.folder.CHUNK_IMAGES", 7)
    for i in range(40):
        draw(root / "train" / f"{i:02}.png", i)
    draw(root / "test" / "a.png")
    assert read(root, channels=1).train.images[:, 0, 0, 0].tolist() == list(range(40))


@pytest.mark.parametrize(
    ("size", "channels", "test_fraction", "message"),
    [(0, 3, 0.1, "size is 0"), (8, 2, 0.1, "channels is 2"), (8, 3, 0.0, "is 0.0"), (8, 3, 1.0, "is 1.0")],
)
def test_impossible_options_are_refused(size: int, channels: int, test_fraction: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageFolder("anywhere", size=size, channels=channels, test_fraction=test_fraction)


def check_fails(source: ImageSource) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.root=PATH"):
        source.check()


def test_a_root_that_is_missing_unset_or_empty_is_refused_with_the_remedy(root: Path) -> None:
    check_fails(ImageFolder(None, size=8))
    check_fails(ImageFolder(str(root), size=8))
    root.mkdir()
    check_fails(ImageFolder(str(root), size=8))
    draw(root / "train" / "a.png")
    (root / "test").mkdir()
    check_fails(ImageFolder(str(root), size=8))


@pytest.mark.slow
def test_cifar10_as_a_folder_has_its_known_facts(shared: Path, tmp_path: Path) -> None:
    with tarfile.open(shared / "cifar10_jpeg.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    data = read(tmp_path / "cifar10", size=32)
    assert data.train.labels.bincount().tolist() == [5_000] * 10
    assert data.test.labels.bincount().tolist() == [1_000] * 10
    means = sum((to_float(part) + 1).mean(dim=(0, 2, 3)) / 2 for part in data.train.images.chunk(10)) / 10
    # Known to four digits: half a unit of the last, and what float32 and the JPEG decoder's version move.
    assert torch.allclose(means, torch.tensor([0.4913, 0.4821, 0.4465]), atol=2e-4)
