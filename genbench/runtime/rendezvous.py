"""The meeting point of the processes that one command starts on this machine."""

from torch.distributed import PrefixStore
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
)

from genbench.runtime.key_value_store import HERE, local_store

__all__ = ["Loopback"]


class Loopback(RendezvousHandler):
    """Meeting point of one launcher and its processes: a store that listens on the loopback interface alone.

    torch's own c10d backend listens on every interface, and unpickles what it reads from its store.
    """

    name = "loopback"  # under which torch's launcher finds it

    def __init__(self, parameters: RendezvousParameters) -> None:
        self.run_id = parameters.run_id
        self.store = local_store()

    @property
    def use_agent_store(self) -> bool:
        """Say that the processes meet in this same store."""
        return True

    def get_backend(self) -> str:
        return self.name

    def next_rendezvous(self) -> RendezvousInfo:
        """Return the store, for a group of one launcher, which has rank 0."""
        place = RendezvousStoreInfo(HERE, self.store.port)
        return RendezvousInfo(PrefixStore(self.run_id, self.store), 0, 1, place)

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        """No other launcher has to learn of it."""

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self.run_id

    def shutdown(self) -> bool:
        return True
