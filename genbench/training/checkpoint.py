"""Checkpoints: everything that a training needs to go on bit for bit, in one file, written atomically.

torch writes a zip archive whose records stand beside their CRC-32 but does not compare them on reading; here
they are compared on every load. So the checksum is in the file itself and cannot come apart from it by a
kill, checkpoints of all versions have one, and it costs nothing more to write.
"""

import errno
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch

from genbench.errors import Damaged
from genbench.records.files import FileState, atomic_file, state_of
from genbench.records.untrusted_files import open_regular

__all__ = ["CheckpointStore", "read"]

State = dict[str, Any]
NO_DAMAGE = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE}
"""Errors of opening a file that say nothing of what is in it."""
FOLDER = 0x10  # in the attributes of a record of a zip archive
LETTERS = 80  # of the name of a record, in a message


class CheckpointStore:
    """The checkpoint of one run: `last.pt`, and its predecessor `previous.pt` in case the last is damaged.
    Under trainer.keep=best also `best.pt`, of the same layout, of the best validation so far.

    folder: the one of checkpoints in the directory of a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.last, self.previous = folder, folder / "last.pt", folder / "previous.pt"
        self.best = folder / "best.pt"
        self.run = folder.parent
        self.verified: FileState | None = None
        """Of `last.pt`, when this store loaded or wrote it."""

    def exists(self) -> bool:
        """True where anything lies under the name of a checkpoint, sound or not, which a new run must not
        overwrite.
        """
        return self.last.exists() or self.previous.exists()

    def save(self, state: State) -> None:
        """Write state dicts, tensors, numbers and strings; a kill at any moment leaves a whole checkpoint.

        What was `last.pt` becomes `previous.pt` only if this store loaded or wrote it and nobody has touched
        it since: a damaged file never takes the place of a whole one.
        """
        self.last.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.last) as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # whatever fails on the way to the disk has failed by now
            self.make_room()
        self.verified = state_of(self.last)

    def save_best(self, state: State) -> None:
        """Write the state of the best validation so far to `best.pt`, in place of the one before; a kill at
        any moment leaves one of them whole.
        """
        self.best.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.best) as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    def load_best(self, device: torch.device, check: Callable[[State], None] | None = None) -> State | None:
        """Read `best.pt`, None where there is none; check: raises ValueError on a state that is not what the
        caller needs. Raises Damaged where the file cannot be used.
        """
        try:
            state, _ = read(self.best, self.run, device)
            if check is not None:
                check(state)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in NO_DAMAGE:
                raise
            raise Damaged(
                f"the checkpoint {self.best} cannot be used ({error}): restore it, or train again (the same "
                "command with rerun=true)"
            ) from error
        return state

    def make_room(self) -> None:
        """Rotate `last.pt` if it is verified; folders of these names, which no file replaces, move aside."""
        for path in filter(Path.is_dir, (self.last, self.previous)):
            path.rename(path.with_name(f"{path.name}.{os.getpid()}.aside"))
        found = state_of(self.last)
        if found is not None and found == self.verified:
            self.last.replace(self.previous)

    def load(self, device: torch.device, check: Callable[[State], None] | None = None) -> State | None:
        """The newest checkpoint that is whole and passes `check`, None where there is none yet.

        check: raises ValueError on a state that is not what the caller needs.
        A file that cannot be used is named in a warning. Raises Damaged where that is true of all there are,
        OSError where one must not be opened, or no more files can be.
        """
        damaged: list[str] = []
        for path in (self.last, self.previous):
            try:
                state, found = read(path, self.run, device)
                if check is not None:
                    check(state)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno in NO_DAMAGE:
                    raise
                damaged.append(f"{path} cannot be used ({error})")
                continue
            if damaged:
                seen = f", of {count:,} images" if isinstance(count := state.get("images_seen"), int) else ""
                warnings.warn(f"the checkpoint {damaged[0]}; {path} is used instead{seen}", stacklevel=2)
            self.verified = found if path == self.last else None
            return state
        if damaged:
            which = "it" if len(damaged) == 1 else "one of them"
            raise Damaged(
                f"the checkpoint {', and '.join(damaged)}: restore {which}, or train "
                "again (the same command with rerun=true)"
            )
        return None


def read(path: Path, run: Path, device: torch.device) -> tuple[State, FileState | None]:
    """A checkpoint, and the state of the file that it was read from; none of the file's code is run.

    run: the directory that the file must lie in. Raises FileNotFoundError where there is no file, OSError or
    ValueError where it is damaged, no regular file, or a link out of the run.
    """
    with open_regular(path, inside=run) as file:
        found = state_of(file.fileno())
        verify(file)
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's own, on kinds of tensors that are refused later
                state = torch.load(file, map_location=device, weights_only=True)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except UnpicklingError as error:
            raise ValueError("it holds other objects than tensors, numbers and text") from error
        except Exception as error:  # a damaged pickle raises whatever its bytes spell
            raise ValueError("it is an archive of another kind than torch writes") from error
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, not a dict")
    return state, found


def verify(file: BinaryIO) -> None:
    """Raise ValueError unless a file is a zip archive in which every record has its own CRC-32."""
    try:
        with zipfile.ZipFile(file) as archive:
            # torch reads nothing of what is marked as a folder, and leaves its tensor uninitialized.
            marked = [record.filename for record in archive.infolist() if not is_plain(record)]
            wrong = None if marked else archive.testzip()
    except Exception as error:  # on damage zipfile raises half a dozen types
        raise ValueError("it is incomplete, damaged, or not a checkpoint") from error
    if marked:
        raise ValueError(f"its record {marked[0][:LETTERS]} is marked as compressed or as a folder")
    if wrong is not None:
        raise ValueError(f"the checksum of its record {wrong[:LETTERS]} is wrong")


def is_plain(record: zipfile.ZipInfo) -> bool:
    """True for a record that is neither compressed nor marked as a folder, as torch writes them."""
    return record.compress_type == zipfile.ZIP_STORED and not record.external_attr & FOLDER
