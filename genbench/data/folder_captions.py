"""Captions in a folder of images: in `metadata.jsonl`, as the Hub has it, or in a `.txt` beside each image.

Nothing that these files say is opened: a name in them is looked up among the images that the folder holds.
"""

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from genbench.records.texts import MOST_CHARACTERS, cleaned
from genbench.records.untrusted_files import open_regular, parse_json, read_regular

__all__ = ["METADATA", "FolderCaptions", "check_mode", "find_captions"]

METADATA = "metadata.jsonl"
MODES = {
    "auto": "metadata.jsonl or .txt files where they caption every image",
    "none": "no captions",
    "metadata": "metadata.jsonl",
    "txt": "a .txt beside each image",
}
KEYS = ("text", "caption")
"""Names of the caption in a line of metadata.jsonl; the first one that is there counts."""
TEXT_BYTES = 16 * MOST_CHARACTERS  # of a .txt, which may hold several captions
LINE_BYTES = 2**20  # of a line of metadata.jsonl, which may hold boxes and other annotations too


@dataclass(frozen=True)
class FolderCaptions:
    """The captions that were found in a folder. Paths are relative to the folder, with "/" between names.

    files: those that hold captions. of: image -> its caption, from metadata.jsonl. beside: image -> the .txt
    beside it, which is read later. fault: the reason why these are not a caption for each image, "" where
    they are. is_meant: True unless there is nothing that looks like captions.
    """

    root: Path
    files: Sequence[str] = ()
    of: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    is_meant: bool = True

    def caption(self, image: str) -> str:
        """Return the caption of an image: of a .txt the first line that is not blank. Raises ValueError, with
        the file and the line, where it is none.
        """
        if image in self.of:
            return self.of[image]
        path = self.root / self.beside[image]
        with unreadable(path):
            content = read_regular(path, at_most=TEXT_BYTES, inside=self.root)
        lines = decoded(content, str(path)).split("\n")
        number = next((i for i, line in enumerate(lines) if line.strip()), 0)
        return checked(lines[number], f"{path}, line {number + 1}")


def check_mode(mode: str) -> None:
    """Raise ValueError unless `data.captions` is one of MODES."""
    if mode not in MODES:
        legal = ", ".join(f"{name} ({what})" for name, what in MODES.items())
        raise ValueError(f"data.captions is {mode!r}; choose from {legal}")


def find_captions(root: Path, images: Sequence[str], texts: Sequence[str], mode: str) -> FolderCaptions:
    """Find the captions of all images in the folder `root`, by a mode of MODES.

    images, texts: relative paths of its image files and of its .txt files. Faults of files are returned, as
    `fault`, not raised.
    """
    if mode == "none":
        return FolderCaptions(root, fault="data.captions=none reads none", is_meant=False)
    files = metadata_files(root, images)
    if mode == "metadata" or (mode == "auto" and files):
        try:
            found = in_metadata(root, images, files)
        except ValueError as error:
            found = FolderCaptions(root, fault=str(error))
        if mode == "metadata" or found.is_meant:
            return found
    return in_texts(root, images, texts)


def metadata_files(root: Path, images: Sequence[str]) -> list[str]:
    """Return the files named metadata.jsonl in the folders that images lie in, and in those above."""
    folders = {""}
    for folder in {posixpath.dirname(image) for image in images}:
        while folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    names = [posixpath.join(folder, METADATA) for folder in sorted(folders)]
    return [name for name in names if os.path.lexists(root / name)]


def in_metadata(root: Path, images: Sequence[str], files: Sequence[str]) -> FolderCaptions:
    """Read captions from files of lines such as {"file_name": "a.png", "text": "a cat"}, whose names are
    relative to the folder of the file. Raises ValueError on the first line that is at fault.
    """
    if not files:
        return FolderCaptions(root, fault=f"{root} holds no {METADATA}", is_meant=False)
    known, captions, lines = set(images), dict[str, str](), dict[str, str]()
    named = set[str]()
    for file in files:
        for where, entry in entries(root / file, root):
            image = image_named(entry, posixpath.dirname(file), where)
            if image not in known and not os.path.lexists(root / image):
                raise ValueError(f"{where}: there is no image {image}: add it, or remove the line")
            if image in lines:
                raise ValueError(f"{where}: {image} is named a second time, after {lines[image]}: remove one")
            lines[image] = where
            caption = next((entry[key] for key in KEYS if entry.get(key) is not None), None)
            if caption is not None:
                named.add(file)
                captions[image] = checked(caption, where)
    if not captions:
        fault = f"no line of {root / files[0]} has a caption, named text or caption"
        return FolderCaptions(root, fault=fault, is_meant=False)
    fault = lacking(root, images, captions, f"a line in {METADATA} with its file_name and text")
    return FolderCaptions(root, sorted(named), of=captions, fault=fault)


def in_texts(root: Path, images: Sequence[str], texts: Sequence[str]) -> FolderCaptions:
    """Find the .txt of the same name beside each image; none is read yet."""
    there = {posixpath.splitext(text)[0]: text for text in texts}
    stems = {image: posixpath.splitext(image)[0] for image in images} if there else {}
    beside = {image: there[stem] for image, stem in stems.items() if stem in there}
    if not beside:
        fault = f"{root} holds neither {METADATA} with texts nor a .txt beside an image"
        return FolderCaptions(root, fault=fault, is_meant=False)
    fault = lacking(root, images, beside, "a file of the same name with the ending .txt")
    return FolderCaptions(root, sorted(set(beside.values())), beside=beside, fault=fault)


def entries(path: Path, root: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Read the objects of a metadata.jsonl inside of `root`, each with its place, "FILE, line N", for
    messages. Raises ValueError on anything else; blank lines are passed over.
    """
    with unreadable(path), open_regular(path, inside=root) as file:
        number = 0
        while line := file.readline(LINE_BYTES + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > LINE_BYTES:
                raise ValueError(f"{where} has more than the {LINE_BYTES:,} bytes that are read: shorten it")
            text = decoded(line, where)
            if not text.strip():
                continue
            try:
                entry = parse_json(text.encode())
            except ValueError as error:
                raise ValueError(f"{where} is not JSON ({error}): mend it") from error
            if not isinstance(entry, dict):
                raise ValueError(f'{where} is no object: write {{"file_name": "IMAGE", "text": "CAPTION"}}')
            yield where, entry


def image_named(entry: Mapping[str, object], folder: str, where: str) -> str:
    """Return the path, relative to the root, that a line names relative to its folder. Raises ValueError
    where it names none, or a place outside of the folder.
    """
    name = entry.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{where} has no file_name: name its image, relative to the folder of the file")
    path = posixpath.normpath(name)
    if posixpath.isabs(path) or path.split("/")[0] == ".." or not name.isprintable():
        raise ValueError(
            f"{where}: file_name is {name[:200]!r}, which is not a path inside of the folder of the file: "
            "name an image there"
        )
    return posixpath.join(folder, path)


def decoded(content: bytes, where: str) -> str:
    """Read bytes as UTF-8, with or without the mark of it in front. Raises ValueError on other encodings."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8 text: save it in that encoding") from error


def checked(caption: object, where: str) -> str:
    """Return a caption as `cleaned` does; its faults name the place that it was read from."""
    try:
        return cleaned(caption)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Raise an error of the system in a `with` block that reads a file as a ValueError that names it."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): repair it, or remove it") from error


def lacking(root: Path, images: Sequence[str], found: Mapping[str, str], remedy: str) -> str:
    """Say which image lacks a caption, and how many others; "" where none does."""
    missing = [image for image in images if image not in found]
    if not missing:
        return ""
    others = f", and {len(missing) - 1:,} more of {len(images):,} images have none" if missing[1:] else ""
    return f"{root / missing[0]} has no caption{others}: add {remedy}"
