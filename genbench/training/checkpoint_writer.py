"""Checkpoints written aside: the state is copied, and a thread writes the copy to the disk while the training
goes on.
"""

import copy
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from genbench.runtime.memory import free_memory

__all__ = ["CheckpointWriter", "copy_to_host"]

State = dict[str, Any]


class CheckpointWriter:
    """Writes states in a thread, one after another, so that a training waits neither for the disk nor, on a
    GPU, for the copy from the device.

    A context: its end waits for what is being written. What the thread raises, such as OSError of a full
    disk, the next `check`, `wait` or `write` raises in its place.
    """

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def write(
        self, state: State, save: Callable[[State], None], done: Callable[[], None], *, aside: bool = True
    ) -> None:
        """Have `save(state)` called, and `done()` once it has returned, after what is being written by now.

        aside: in the thread, with a copy of the state as it is now, unless memory, or the limit of a
        container or job, has no room for a copy; False: at once, and this returns when it is written.
        """
        self.wait()
        if not aside or 2 * bytes_of(state) > free_memory():
            save(state)
            done()
            return
        copied, arrived = copy_to_host(state)

        def work() -> None:
            try:
                arrived()
                save(copied)
                done()
            except BaseException as failure:  # raised by the training, at its next step
                self.failure = failure

        # A daemon: where a second signal ends the process at once, the file that is begun is left over, and
        # the checkpoint before it is whole.
        self.thread = threading.Thread(target=work, name="genbench-checkpoint", daemon=True)
        self.thread.start()

    def check(self) -> None:
        """Raise what the thread has raised, once; cheap enough for every step."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def wait(self) -> None:
        """Wait until everything is written; raises what the thread has raised."""
        self.join()
        self.check()

    def join(self) -> None:
        """Wait for the thread, whether it fails or not."""
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.wait()
        elif issubclass(kind, Exception):  # it is what is raised, whatever becomes of the checkpoint
            self.join()


def copy_to_host(state: State) -> tuple[State, Callable[[], None]]:
    """Copy nested dicts, lists and tuples (NamedTuples too), each of its own class, with all tensors in them
    to the memory of the host, in their layouts; tensors that are one and the same remain so. Other values are
    not copied.

    Of a GPU the copies go to pinned memory and are not waited for: the function that comes second waits for
    them. Steps that follow on the device change the tensors after they are copied.
    """
    known = dict[tuple[Any, ...], Tensor]()

    def tensor(x: Tensor) -> Tensor:
        key = (x.device, x.data_ptr(), tuple(x.shape), x.stride(), x.dtype)
        if key not in known:
            x = x.detach()
            if x.is_cuda:
                pinned = torch.empty_like(x, device="cpu", pin_memory=True)
                known[key] = pinned.copy_(x, non_blocking=True)
            else:
                known[key] = x.clone()
        return known[key]

    def copied(value: Any) -> Any:  # noqa: ANN401 (whatever a checkpoint holds)
        if isinstance(value, Tensor):
            return tensor(value)
        if isinstance(value, dict):
            new = copy.copy(value)  # of its own class: state dicts carry attributes
            new.update({name: copied(entry) for name, entry in value.items()})
            return new
        if isinstance(value, tuple):  # by tuple's own way, since the class of a NamedTuple takes its fields
            return tuple.__new__(type(value), map(copied, value))
        return type(value)(map(copied, value)) if isinstance(value, list) else value

    found = copied(state)
    devices = {x.device for x in tensors_of(state) if x.is_cuda}
    arrivals = [torch.cuda.current_stream(device).record_event() for device in devices]

    def arrived() -> None:
        for arrival in arrivals:
            arrival.synchronize()

    return found, arrived


def tensors_of(value: Any) -> list[Tensor]:  # noqa: ANN401 (whatever a checkpoint holds)
    """List all tensors in nested dicts, lists and tuples."""
    if isinstance(value, Tensor):
        return [value]
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [x for entry in entries for x in tensors_of(entry)]


def bytes_of(state: State) -> int:
    """Count the bytes of all tensors of a state."""
    return sum(x.numel() * x.element_size() for x in tensors_of(state))
