"""The meeting point of the processes that one command starts on this machine."""

from torch.distributed import PrefixStore
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

from genbench.runtime.meeting import HERE, local_store

__all__ = ["LOOPBACK", "register"]

LOOPBACK = "loopback"
"""The name under which torch's launcher finds this way to meet."""


class Loopback(RendezvousHandler):
    """Meeting point of one launcher and its processes: a store that listens on the loopback interface alone.

    torch's own c10d backend listens on every interface, and unpickles what it reads from its store.
    """

    def __init__(self, parameters: RendezvousParameters) -> None:
        self.name = parameters.run_id
        self.store = local_store()

    @property
    def use_agent_store(self) -> bool:
        """Say that the processes meet in this same store."""
        return True

    def get_backend(self) -> str:
        return LOOPBACK

    def next_rendezvous(self) -> RendezvousInfo:
        """Return the store, for a group of one launcher, which has rank 0."""
        place = RendezvousStoreInfo(HERE, self.store.port)
        return RendezvousInfo(PrefixStore(self.name, self.store), 0, 1, place)

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        """No other launcher has to learn of it."""

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self.name

    def shutdown(self) -> bool:
        return True


def register() -> None:
    """Make the backend `LOOPBACK` known to torch's launcher, by which `launch` names it.

    A second call changes nothing, so that each launch may call it.
    """
    rendezvous_handler_registry.register(LOOPBACK, Loopback)
