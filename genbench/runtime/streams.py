"""Standard streams that outlive who reads them: a pipe, terminal or disk that is gone ends no command.

Each entry point hardens its process once, so that no print, progress bar, warning or log handler has to.
"""

import errno
import io
import os
import select
import sys
from typing import IO, TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["harden_streams", "open_streams"]

STANDARD = (0, 1, 2)
"""File descriptors of stdin, stdout and stderr."""


def harden_streams(*, output_is_result: bool = False) -> None:
    """Make stdin, stdout and stderr of this process safe to use, whatever they were at its start.

    Closed descriptors and streams that are None lead to the null device. What cannot be written is dropped,
    characters that the encoding lacks are written as escapes. Streams that a notebook or a test put in the
    place of the interpreter's own are left as they are. A second call changes nothing.

    output_is_result: of a command whose result is stdout; OSError is raised where that cannot be written, a
    full disk for example, but not where the reader of a pipe has seen enough.
    """
    open_streams()
    sys.stdout = hardened(sys.stdout, strict=output_is_result)
    sys.stderr = hardened(sys.stderr, strict=False)


def open_streams() -> None:
    """Let standard streams that are None or closed, and closed descriptors, lead to the null device, so that
    any function may print; those that are open remain as they are.
    """
    occupy_descriptors()
    for name in ("stdin", "stdout", "stderr"):
        if is_unusable(getattr(sys, name)):
            mode = "r" if name == "stdin" else "w"
            null = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 (for as long as the process lives)
            setattr(sys, name, null)


def occupy_descriptors() -> None:
    """Open the null device in the place of standard streams that are closed.

    The next file that is opened, a checkpoint for example, would take their numbers, and receive what a
    library or a child process prints.
    """
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)


def is_unusable(stream: IO[str] | None) -> bool:
    """Tell whether a stream is None or closed, so that any use of it raises."""
    return stream is None or (isinstance(stream, io.IOBase) and stream.closed)


def hardened(stream: TextIO, *, strict: bool) -> TextIO:
    """Return the same stream with a writer that does not fail."""
    if not isinstance(stream, io.TextIOWrapper) or stream not in (sys.__stdout__, sys.__stderr__):
        return stream
    buffered = isinstance(stream.buffer, io.BufferedWriter)  # it is not under `python -u`
    if not isinstance(stream.buffer.raw if buffered else stream.buffer, io.FileIO):
        return stream  # a console of Windows, which takes text and no bytes
    raw = PatientFile(stream.fileno(), strict=strict)
    return io.TextIOWrapper(
        io.BufferedWriter(raw) if buffered else raw,
        encoding=stream.encoding,
        errors="backslashreplace",
        newline="\n" if os.linesep == "\n" else None,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class PatientFile(io.FileIO):
    """An open descriptor for writing, which drops what nobody can receive.

    strict: an error other than of a closed pipe is raised, once.
    """

    def __init__(self, descriptor: int, *, strict: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.name = {1: "<stdout>", 2: "<stderr>"}.get(descriptor, descriptor)  # as the interpreter's own
        self.strict = strict

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            # A terminal that another program made non-blocking takes it later.
            while (written := super().write(data)) is None:
                select.select([], [self], [])
            return written
        except OSError as error:
            # Libraries write nothing at all to see of which kind a stream is: that is no output lost.
            if self.strict and error.errno != errno.EPIPE and memoryview(data).nbytes:
                self.strict = False  # the interpreter flushes the same bytes again at its end
                raise OSError(error.errno, f"the output cannot be written: {error.strerror}") from error
            return memoryview(data).nbytes
