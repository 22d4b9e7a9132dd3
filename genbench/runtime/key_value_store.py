"""Key-value stores through which the processes of a run find each other; those of one machine listen to that
machine alone.
"""

import os
import socket

from torch.distributed import TCPStore

__all__ = ["HERE", "common_host", "local_store", "open_store"]

HERE = "127.0.0.1"
LOCAL = (HERE, "localhost", "::1")


def local_store() -> TCPStore:
    """Open a store on a free port of the loopback interface.
    torch by itself listens on every interface, where whoever reaches the port can write to the store.
    """
    listener = socket.create_server((HERE, 0))
    port = listener.getsockname()[1]
    handle = listener.detach()
    return TCPStore(
        HERE, port, is_master=True, wait_for_workers=False, multi_tenant=True, master_listen_fd=handle
    )


def common_host() -> str:
    """Return the host at which all processes find the first, as the environment of torch's launchers says.
    It is the loopback address where all are on one machine, whatever name the launcher gives that machine.
    """
    master = os.environ["MASTER_ADDR"]
    together = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]
    return HERE if together or master in LOCAL else master


def open_store(host: str) -> TCPStore:
    """Open the first process's store at `host` on a free port: on the loopback interface where all processes
    are on one machine, else on every interface, since other machines have to reach it.
    """
    if host == HERE:
        return local_store()
    return TCPStore(host, 0, is_master=True, wait_for_workers=False)
