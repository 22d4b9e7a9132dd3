"""Energy that a device takes, in joules: of a GPU by NVML's counter, of a CPU by RAPL's, where they can be
read.

Both count all that runs on the device, other processes included.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

__all__ = ["POWERCAP", "Counter", "Meter", "known", "meter", "nvml", "rapl"]

POWERCAP = Path("/sys/class/powercap")


class Counter(NamedTuple):
    """A counter of energy that only rises, and begins at 0 again behind its largest value."""

    read: Callable[[], float]
    """Returns the energy in joules since some moment. Raises OSError, ValueError or RuntimeError where it
    cannot be read.
    """
    largest: float = math.inf
    """In joules; a counter that has wrapped has gone through all of it once."""


class Meter:
    """Sums up what some counters count between two calls.

    counters: none where the energy of a device cannot be measured; reason: why, in words for the user.
    is_shared: True where other processes of a run on the same machine count the same energy.
    """

    def __init__(self, counters: Sequence[Counter], reason: str = "", *, is_shared: bool = False) -> None:
        self.counters, self.reason, self.is_shared = counters, reason, is_shared
        self.last = self.read()

    def read(self) -> list[float]:
        """Read all counters, in joules; nan of each one that can no longer be read."""
        return [value_of(counter) for counter in self.counters]

    def taken(self) -> float:
        """Return the joules since the last call, or since the meter was made; nan without counters. A counter
        that wraps more than once between two calls is short by its largest value.
        """
        before, self.last = self.last, self.read()
        if not self.counters:
            return math.nan
        return sum(
            now - then if not now < then else now - then + counter.largest
            for counter, then, now in zip(self.counters, before, self.last, strict=True)
        )


def value_of(counter: Counter) -> float:
    """Read a counter, in joules; nan where that fails."""
    try:
        return counter.read()
    except (OSError, ValueError, RuntimeError):
        return math.nan


def known(joules: float) -> float | None:
    """Return an energy for a record: None for nan, the sum with a part that was not measured, and for
    inf, that with a counter that began again and has no largest value.
    """
    return joules if math.isfinite(joules) else None


def meter(device: torch.device) -> Meter:
    """Make the meter of a device: NVML of a GPU, RAPL of a CPU, or one without counters."""
    if device.type == "cuda":
        return nvml(device)
    if device.type == "cpu":
        return rapl(POWERCAP)
    return Meter([], f"there is no counter of energy for {device.type}")


def rapl(root: Path) -> Meter:
    """Make a meter of all packages of CPUs below `root`, a folder as /sys/class/powercap; of one that cannot
    read each of them it says the reason.
    """
    zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if zone.name.count(":") == 1]
    try:
        # Others, such as psys, count the packages once more.
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        counters = [
            Counter(
                lambda file=zone / "energy_uj": microjoules(file),  # type: ignore[misc]
                microjoules(zone / "max_energy_range_uj"),
            )
            for zone in packages
        ]
        for counter in counters:
            counter.read()
    except PermissionError as error:
        file = error.filename
        return Meter([], f"{file} can be read by root alone; sudo chmod a+r {file} allows it")
    except (OSError, ValueError) as error:
        return Meter([], f"the counters of {root} cannot be read ({error})")
    reason = "" if counters else f"{root} has no counter of a CPU's energy (intel-rapl)"
    return Meter(counters, reason, is_shared=True)


def microjoules(file: Path) -> float:
    """Read a file of microjoules, as joules."""
    return int(file.read_text()) / 1e6


def nvml(device: torch.device) -> Meter:
    """Make a meter of one GPU by the library nvidia-ml-py; of one that has no counter, as those before Volta
    and parts of a GPU (MIG), it says the reason.
    """
    try:
        import pynvml
    except ImportError:
        return Meter([], 'the energy of a GPU needs nvidia-ml-py: pip install "genbench[gpu]"')
    try:
        pynvml.nvmlInit()
        # By its UUID, since CUDA_VISIBLE_DEVICES changes numbers for torch alone.
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)

        def read() -> float:
            try:
                return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
            except pynvml.NVMLError as error:
                raise RuntimeError(str(error)) from error

        read()
    except (pynvml.NVMLError, RuntimeError, AssertionError, AttributeError) as error:
        return Meter([], f"NVML counts no energy of {device} ({error})")
    return Meter([Counter(read)])
