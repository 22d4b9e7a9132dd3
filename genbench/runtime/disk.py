"""Failures of disks and of limits of the machine: found before any work where possible, and reported with
their path and remedy.
"""

import errno
import os
import resource
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock

__all__ = [
    "check_file_size",
    "check_makable",
    "check_space",
    "check_writable",
    "expanded",
    "explain",
    "is_machine_fault",
    "locked",
    "naming",
    "nearest",
    "optional",
    "system_error",
    "whole_folder",
]

FREE = "Free some space."
CHANGE = "Make it writable, or name another place."
MOVE = "Remove the file or folder that is there, or name another place."
REMEDIES = {
    errno.ENOSPC: FREE,
    errno.EDQUOT: FREE,
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f).",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "Too many files are open on this machine: end other programs.",
    errno.EIO: "The disk is damaged, or was removed.",
    errno.EROFS: CHANGE,
    errno.EACCES: CHANGE,
    errno.EPERM: CHANGE,
    errno.EEXIST: MOVE,
    errno.ENOTDIR: MOVE,
    errno.EISDIR: MOVE,
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: MOVE,
}
"""Errors that have to do with where something is read or written -> the remedy."""
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EIO}
"""Those of them that can strike in the midst of work which began well."""
PROBE_BYTES = 4096


def system_error(error: BaseException | None) -> OSError | None:
    """Return the first error of the operating system behind an exception, None where there is none.

    Libraries hide it: of a full disk torch.save says "unexpected pos 64 vs 0", and what is then done about a
    failure (a record, a file that is closed) fails in its turn. One that has a path goes before one without.
    """
    found = None
    while error is not None:
        if isinstance(error, OSError) and error.errno in REMEDIES:
            found = error if found is None or found.filename is None or error.filename else found
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def is_machine_fault(error: OSError) -> bool:
    """Return True for a full disk or a limit of the machine, which can strike in the midst of work; False for
    a path that the user chose wrongly. The exit code follows from it.
    """
    return error.errno in MACHINE


def explain(error: OSError) -> str:
    """Return cause, path and remedy of an error of the operating system, in one or two sentences; for an
    error of another origin the text that it has.
    """
    if error.errno is None or error.strerror is None:
        return str(error)
    if error.errno == errno.ENOENT and error.filename is None and error.strerror == os.strerror(errno.ENOENT):
        return "The current folder was removed: change to one that exists."  # as os.getcwd says
    what = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    no_scratch = error.errno == errno.ENOENT and "temporary directory" in error.strerror  # as tempfile says
    remedy = "Set the variable TMPDIR to one." if no_scratch else REMEDIES.get(error.errno)
    return what if remedy is None else f"{what}. {remedy}"


def expanded(path: str, remedy: str) -> Path:
    """Return a path in which ~ is the home directory of the user.
    Raises ValueError, which ends with `remedy`, where there is no home: no HOME, and a user without a name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} is below a home directory, and this user has none: {remedy}") from error


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Give an error of the operating system inside the block the path of what is written.

    temporary: a file that stands for it until it is whole.
    Raises OSError with the cause and the path, also where a library hides the cause; an error about another
    file as it is.
    """
    try:
        yield
    except Exception as error:
        cause = system_error(error)
        if cause is None or cause.filename not in (None, str(path), str(temporary)):
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


@contextmanager
def optional(path: Path) -> Iterator[None]:
    """Warn, with path and remedy, where a file that only saves time later cannot be written inside the block;
    any OSError ends there, and the work goes on without the file.
    """
    try:
        yield
    except OSError as error:
        warnings.warn(f"{path} is not kept for later runs. {explain(error)}", stacklevel=3)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a cached file inside the block, so that one process makes it and others wait; hold
    none where nothing can be written, since then nothing can be cached either.
    """
    with ExitStack() as held:
        with suppress(OSError):  # what cannot be locked cannot be saved, which is said there
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(f"{path}.lock"))
        yield


@contextmanager
def whole_folder(folder: Path) -> Iterator[None]:
    """Remove what the block wrote into a folder that was new or empty, where an error ends it: of the system,
    or one of the values and models that it works on. A folder that was there before remains, as does all that
    was in it; so does what a command leaves that the user stops.
    """
    before = set(folder.iterdir()) if folder.is_dir() else None
    try:
        yield
    except (OSError, ValueError, FloatingPointError):
        if before is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            remove_all(set(folder.iterdir()) - before)
        raise


def remove_all(paths: Iterable[Path]) -> None:
    """Remove files and folders, as far as the disk allows it."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def nearest(folder: Path) -> Path:
    """Return the absolute path of a folder, or that of the nearest one above it where there is none."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def check_writable(folder: Path) -> None:
    """Raise OSError, which names the folder, where no file can be written in it.

    A few bytes are written and vanish. For a folder that is not there the nearest one above it is tried.
    """
    place = nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from error


def check_makable(folder: Path) -> None:
    """Raise OSError, with the path that is in the way, unless a folder is there or can be made.
    Nothing is written: a disk that lies about its permissions is found out by `check_writable`.
    """
    folder, place = folder.absolute(), nearest(folder)
    if not place.is_dir():  # a file, or a link that leads nowhere
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    if place == folder:
        return
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    with suppress(FileNotFoundError):
        folder.stat()  # whose name may be too long


def check_file_size(size: int, what: str) -> None:
    """Raise ValueError where a limit of this process (ulimit -f) forbids files of `size` bytes.
    what: the file, as the message names it, such as a checkpoint.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit not in (resource.RLIM_INFINITY, -1) and limit < size:
        raise ValueError(
            f"files may have {megabytes(limit)} at most (ulimit -f), and {what} takes at least "
            f"{megabytes(size)}: raise the limit"
        )


def check_space(folder: Path, size: int, what: str, remedy: str) -> None:
    """Raise ValueError where the disk of a folder, or of the nearest one above it that is there, has fewer
    than `size` bytes free. what: the files that need them; remedy: what to do instead of freeing space.
    """
    folder = folder.absolute()
    usage = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists()))
    if usage.total and usage.free < size:  # some network disks do not say how large they are
        raise ValueError(
            f"the disk of {folder} has {megabytes(usage.free)} free, and {what} take at least "
            f"{megabytes(size)}: free some space, or {remedy}"
        )


def megabytes(size: int) -> str:
    """Return a number of bytes in MB (millions)."""
    return f"{size / 1e6:,.1f} MB"
