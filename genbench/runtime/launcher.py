"""torch's elastic launcher, which starts the processes of one run on this machine (imports torch late)."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from genbench.runtime.stop import ignoring_hangup, stop_signals

__all__ = ["launcher", "signals_restored"]


def launcher(devices: int, work: Callable[..., None], name: str) -> Callable[..., object]:
    """Make a function that calls `work` in `devices` processes of this machine, with the strings that it is
    called with itself; name: of the group of processes.

    Strings alone, and nothing is returned, since the launcher would pickle it.
    """
    from torch.distributed.elastic.rendezvous import rendezvous_handler_registry
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from genbench.runtime.rendezvous import Loopback

    rendezvous_handler_registry.register(Loopback.name, Loopback)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=name,
        rdzv_backend=Loopback.name,
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.2,
        start_method="spawn",
    )
    # No other signals: under nohup SIGHUP is to be ignored. Torch before 2.9 takes them from the environment.
    signals = ",".join(number.name for number in stop_signals())
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = config.signals_to_handle = signals
    return elastic_launch(config, work)


@contextmanager
def signals_restored() -> Iterator[None]:
    """Restore signal handlers and the level of the launcher's log after the block; inside, that log is
    silent, since its messages are printed here in other words.
    """
    handlers = {number: signal.getsignal(number) for number in stop_signals()}
    # A process finishes its batch before it stops, and a batch of samples on a CPU takes long.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "120")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of sockets, when a process is gone
    with ignoring_hangup():
        resource_tracker.ensure_running()  # it would be killed by it, and miss what the others still name
    log = logging.getLogger("torch.distributed.elastic")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
