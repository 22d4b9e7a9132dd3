"""Tiny files of the published layouts, whose md5 sums stand in the place of the published ones."""

import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets as official
from PIL import Image
from scipy.io import savemat

from genbench.data import STL10, SVHN, CelebA, Cifar100, ImageSource, prepare
from genbench.data.celeba import LISTS
from genbench.data.resizing import crop_resized
from genbench.runtime.progress import Progress

QUIET = Progress(None)
Layout = Callable[[Path, pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (folder := tmp_path / "root").mkdir()
    return folder


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, dtype=np.uint8)


def written(path: Path, content: bytes) -> str:
    """Write a file; its md5 sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def packed(path: Path, files: Sequence[Path]) -> str:
    """Put files into an archive under the name of their folder, and remove them; the md5 sum of it."""
    with tarfile.open(path, "w:gz") as archive:
        for file in files:
            archive.add(file, f"{file.parent.name}/{file.name}")
            file.unlink()
    return hashlib.md5(path.read_bytes()).hexdigest()


CIFAR_IMAGES, CIFAR_LABELS = noise(5, 3, 32, 32), [3, 99, 0, 7, 50]


def cifar100(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickled dictionaries with texts and bytes as keys, as the archive of 2009 has them."""
    folder = root / "cifar-100-python"
    monkeypatch.setattr(Cifar100, "sizes", (3, 2))
    for split, part in (("train", slice(3)), ("test", slice(3, 5))):
        content = {"data": CIFAR_IMAGES[part].reshape(-1, 3072), "fine_labels": CIFAR_LABELS[part]}
        content |= {"coarse_labels": [0] * len(CIFAR_LABELS[part]), "filenames": [], "batch_label": split}
        sums = [[split, written(folder / split, pickle.dumps(content, protocol=2))]]
        monkeypatch.setattr(official.CIFAR100, f"{split}_list", sums)
    meta = pickle.dumps({"fine_label_names": list(Cifar100.class_names), "coarse_label_names": []})
    monkeypatch.setattr(
        official.CIFAR100,
        "meta",
        {"filename": "meta", "key": "fine_label_names", "md5": written(folder / "meta", meta)},
    )


SVHN_IMAGES = noise(32, 32, 3, 5)


def svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SVHN, "sizes", (3, 2))
    lists = dict(official.SVHN.split_list)
    for split, part, labels in (("train", slice(3), [1, 10, 9]), ("test", slice(3, 5), [10, 5])):
        savemat(
            file := io.BytesIO(),
            {"X": SVHN_IMAGES[..., part], "y": np.array(labels, np.uint8)[:, None]},
            do_compression=True,
        )
        name = f"{split}_32x32.mat"
        lists[split] = ["", name, written(root / name, file.getvalue())]
    monkeypatch.setattr(official.SVHN, "split_list", lists)


STL_IMAGES = noise(4, 3, 96, 96)  # columns before rows, as the files have them


def stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "stl10_binary"
    parts = {"train": [0], "unlabeled": [1, 2], "test": [3]}
    sums = {
        f"{name}_X.bin": written(folder / f"{name}_X.bin", STL_IMAGES[rows].tobytes())
        for name, rows in parts.items()
    }
    sums |= {f"{name}_y.bin": written(folder / f"{name}_y.bin", b"\x0a") for name in ("train", "test")}
    train = ["train_X.bin", "train_y.bin", "unlabeled_X.bin"]
    monkeypatch.setattr(official.STL10, "train_list", [[name, sums[name]] for name in train])
    test = ["test_X.bin", "test_y.bin"]
    monkeypatch.setattr(official.STL10, "test_list", [[name, sums[name]] for name in test])


def small_stl10(root: Path, *, labelled: bool = False, size: int = 48) -> STL10:
    source = STL10(str(root), labelled=labelled, size=size)
    source.sizes = (1 if labelled else 2, 1)
    return source


FACES = [noise(218, 178, 3) // (i + 1) for i in range(5)]


def celeba(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images 1 and 2 are of the training split, 3 of the validation and 4 and 5 of the test split."""
    monkeypatch.setattr(CelebA, "sizes", (2, 2))
    names = [f"{i + 1:06}.jpg" for i in range(5)]
    rows = {
        "list_attr_celeba.txt": ("3\nSmiling Male\n", "-1  1"),
        "identity_CelebA.txt": ("", "7"),
        "list_bbox_celeba.txt": ("3\nimage_id x_1 y_1 width height\n", "95  71 226 313"),
        "list_landmarks_align_celeba.txt": ("3\nlefteye_x lefteye_y\n", "69  109"),
    }
    contents = {
        file: head + "".join(f"{name} {row}\n" for name in names) for file, (head, row) in rows.items()
    }
    contents["list_eval_partition.txt"] = "".join(
        f"{name} {split}\n" for name, split in zip(names, (0, 0, 1, 2, 2), strict=True)
    )
    sums = {file: written(root / "celeba" / file, contents[file].encode()) for file in LISTS}
    for name, image in zip(names, FACES, strict=True):
        Image.fromarray(image).save(file := io.BytesIO(), "JPEG", quality=95)
        written(root / "celeba" / "img_align_celeba" / name, file.getvalue())
    sums["img_align_celeba.zip"] = ""
    monkeypatch.setattr(official.CelebA, "file_list", [("", md5, file) for file, md5 in sums.items()])


def zip_faces(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the images into the archive, without the folder."""
    folder = root / "celeba" / "img_align_celeba"
    with zipfile.ZipFile(path := root / "celeba" / "img_align_celeba.zip", "w") as archive:
        for image in sorted(folder.iterdir()):
            archive.write(image, f"img_align_celeba/{image.name}")
            image.unlink()
    folder.rmdir()
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    others = [entry for entry in official.CelebA.file_list if not entry[2].endswith(".zip")]
    monkeypatch.setattr(official.CelebA, "file_list", [*others, ("", md5, path.name)])


def test_cifar100_has_the_fine_labels_of_its_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar100(root, monkeypatch)
    data = prepare(Cifar100(str(root)), progress=QUIET)
    assert np.array_equal(data.train.images.numpy(), CIFAR_IMAGES[:3])
    assert np.array_equal(data.test.images.numpy(), CIFAR_IMAGES[3:])
    assert [*data.train.labels.tolist(), *data.test.labels.tolist()] == CIFAR_LABELS
    assert (data.num_classes, data.class_names[99], data.flip) == (100, "worm", True)


def test_cifar100_is_read_from_its_archive_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar100(root, monkeypatch)
    archive = root / "cifar-100-python.tar.gz"
    md5 = packed(archive, sorted((root / "cifar-100-python").iterdir()))
    monkeypatch.setattr(official.CIFAR100, "tgz_md5", md5)
    assert [label for _, label in Cifar100(str(root)).decode("test")] == CIFAR_LABELS[3:]


class Trap:
    """An object whose pickle would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_of_another_md5_sum_is_not_unpickled(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar100(root, monkeypatch)
    written(root / "cifar-100-python" / "train", pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ValueError, match=r"damaged files.*cifar100: download them again"):
        prepare(Cifar100(str(root)), progress=QUIET)
    assert not (tmp_path / "sprung").exists()


def test_svhn_has_label_0_for_the_digit_0(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    svhn(root, monkeypatch)
    data = prepare(SVHN(str(root)), progress=QUIET)
    assert np.array_equal(data.train.images.numpy(), SVHN_IMAGES[..., :3].transpose(3, 2, 0, 1))
    assert data.train.labels.tolist() == [1, 0, 9]
    assert data.test.labels.tolist() == [0, 5]
    assert not data.flip


def test_stl10_trains_on_unlabelled_images_or_on_labelled_ones(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stl10(root, monkeypatch)
    upright = STL_IMAGES.transpose(0, 1, 3, 2)
    whole = prepare(small_stl10(root, size=96), progress=QUIET)
    assert np.array_equal(whole.train.images.numpy(), upright[1:3])
    assert whole.train.labels is None
    labelled = prepare(small_stl10(root, labelled=True, size=96), progress=QUIET)
    assert np.array_equal(labelled.train.images.numpy(), upright[:1])
    assert (labelled.train.labels.tolist(), labelled.class_names[9]) == ([9], "truck")
    assert np.array_equal(whole.test.images.numpy(), labelled.test.images.numpy())


def test_stl10_is_averaged_over_blocks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stl10(root, monkeypatch)
    means = STL_IMAGES.transpose(0, 1, 3, 2).reshape(4, 3, 48, 2, 48, 2).mean((3, 5))[1:3]
    found = prepare(small_stl10(root), progress=QUIET).train.images.numpy()
    assert np.abs(found - means).max() <= 1  # Pillow rounds after each direction
    keys = {small_stl10(root, labelled=some, size=n).key() for some in (False, True) for n in (48, 96)}
    assert len(keys) == 4


def test_stl10_says_what_it_lacks(root: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.size is 40.*32, 48, 64 and 96"):
        STL10(size=40)
    with pytest.raises(ValueError, match=r"stl10 have none: use data\.labelled=true"):
        STL10().check_labels()
    STL10(labelled=True).check_labels()


@pytest.mark.parametrize("zipped", [False, True])
def test_celeba_is_cropped_from_the_archive_or_the_folder(
    zipped: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    celeba(root, monkeypatch)
    path = root / "celeba" / "img_align_celeba"
    first, fourth = (Image.open(path / f"00000{i}.jpg").copy() for i in (1, 4))
    if zipped:
        zip_faces(root, monkeypatch)
    data = prepare(CelebA(str(root)), progress=QUIET)
    assert (data.shape, len(data.train), len(data.test), data.num_classes) == ((3, 64, 64), 2, 2, 0)
    for image, split in ((first, data.train), (fourth, data.test)):
        expected = np.asarray(crop_resized(image, 140, 64)).transpose(2, 0, 1)
        assert np.array_equal(split.images[0].numpy(), expected)


def test_celeba_without_an_image_or_with_other_lists_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    celeba(root, monkeypatch)
    pictures, source = root / "celeba" / "img_align_celeba", CelebA(str(root))
    Image.new("RGB", (64, 64)).save(pictures / "000005.jpg")
    with pytest.raises(ValueError, match="64x64 pixels instead of 178x218"):
        prepare(source, progress=QUIET)
    (pictures / "000005.jpg").unlink()
    with pytest.raises(ValueError, match=r"000005\.jpg cannot be read"):
        prepare(source, progress=QUIET)
    (root / "celeba" / "list_eval_partition.txt").write_text("../../secret.jpg 0\n")
    with pytest.raises(ValueError, match="damaged lists of celeba"):
        prepare(source, progress=QUIET)
    (pictures / "000001.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks celeba/img_align_celeba"):
        prepare(source, progress=QUIET)


def test_a_damaged_archive_of_faces_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    celeba(root, monkeypatch)
    zip_faces(root, monkeypatch)
    path = root / "celeba" / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match=r"img_align_celeba\.zip is damaged: its md5 sum"):
        prepare(CelebA(str(root)), progress=QUIET)


@pytest.mark.parametrize("source", [Cifar100(), SVHN(), STL10(), STL10(labelled=True), CelebA()])
def test_facts_are_stated_without_files(source: ImageSource) -> None:
    assert len(source.class_names) == source.num_classes
    assert source.counts().keys() == {"train", "test"}
    assert len(source.key()) == 64
    assert source.flip == (source.name != "svhn")


@pytest.mark.parametrize("kind", [Cifar100, SVHN, STL10, CelebA])
def test_without_files_both_ways_to_them_are_named(kind: type[Cifar100], root: Path, cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.root=PATH.*data\.download=true"):
        prepare(kind(download=False), progress=QUIET)
    with pytest.raises(FileNotFoundError, match=r"does not hold .*data\.root=PATH"):
        prepare(kind(str(root)), progress=QUIET)


def test_a_download_of_faces_without_its_library_names_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """gdown is no dependency; with it, the same sentence ends the answer of a closed network."""
    monkeypatch.setitem(__import__("sys").modules, "gdown", None)
    with pytest.raises(FileNotFoundError, match=r"celeba could not be downloaded .*gdown.*data\.root=PATH"):
        prepare(CelebA(), progress=QUIET)
