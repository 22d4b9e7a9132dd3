import itertools
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from genbench.runtime import energy
from genbench.runtime.energy import Counter, Meter, known, meter, rapl
from genbench.runtime.processes import ALONE
from genbench.training.log_window import Clock
from tests.conftest import Command
from tests.toys import TINY

CPU = torch.device("cpu")


def zone(root: Path, name: str, *, label: str = "package-0", uj: int = 0, largest: int = 1_000_000) -> Path:
    """A folder of powercap, with its counter in microjoules."""
    (folder := root / name).mkdir(parents=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest}\n")
    (folder / "energy_uj").write_text(f"{uj}\n")
    return folder


def set_to(folder: Path, uj: int) -> None:
    (folder / "energy_uj").write_text(f"{uj}\n")


def test_packages_are_summed_and_their_parts_and_the_whole_machine_left_out(tmp_path: Path) -> None:
    zones = [zone(tmp_path, f"intel-rapl:{i}", label=f"package-{i}", uj=100) for i in (0, 1)]
    others = [zone(tmp_path, "intel-rapl:0:0", label="core"), zone(tmp_path, "intel-rapl:2", label="psys")]
    (tmp_path / "intel-rapl").mkdir()
    found = rapl(tmp_path)
    for folder, uj in zip([*zones, *others], (200_100, 300_100, 7, 7), strict=True):
        set_to(folder, uj)
    assert found.taken() == pytest.approx(0.5)
    assert found.taken() == 0


def test_a_counter_that_wraps_goes_on_from_0(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", uj=900_000, largest=1_000_000)
    found = rapl(tmp_path)
    set_to(folder, 250_000)
    assert found.taken() == pytest.approx(0.35)


def test_a_counter_that_cannot_be_read_gives_no_number_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rapl(tmp_path / "nothing")
    assert math.isnan(found.taken())
    assert "has no counter of a CPU's energy" in found.reason
    zone(tmp_path, "intel-rapl:0")
    second = zone(tmp_path, "intel-rapl:1", label="package-1")
    read = Path.read_text

    def refused(path: Path) -> str:
        if path == second / "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_text", refused)
    found = rapl(tmp_path)
    assert math.isnan(found.taken())
    assert found.reason.endswith(f"sudo chmod a+r {second / 'energy_uj'} allows it")


def test_a_counter_that_disappears_makes_the_sum_unknown() -> None:
    values = iter([1.0, 3.0])
    found = Meter([Counter(lambda: next(values, math.nan)), Counter(lambda: 5.0)])
    assert found.taken() == 2
    assert math.isnan(found.taken())


def test_a_counter_without_a_largest_value_that_begins_again_makes_the_sum_unknown() -> None:
    values = iter([5.0, 1.0, 4.0])
    found = Meter([Counter(lambda: next(values))])
    assert known(found.taken()) is None
    assert known(found.taken()) == 3


class NvmlError(Exception):
    pass


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A library in the place of pynvml, whose GPU of one UUID counts from 5 J on."""
    fake = SimpleNamespace(NVMLError=NvmlError, millijoules=5_000, started=0)

    def handle(uuid: str) -> str:
        if uuid != "GPU-1234":
            raise NvmlError("Not Found")
        return uuid

    fake.nvmlInit = lambda: setattr(fake, "started", fake.started + 1)
    fake.nvmlDeviceGetHandleByUUID = handle
    fake.nvmlDeviceGetTotalEnergyConsumption = lambda handle: fake.millijoules
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234"))
    return fake


def test_a_gpu_is_found_by_its_uuid_and_counted_in_millijoules(library: SimpleNamespace) -> None:
    found = meter(torch.device("cuda", 0))
    library.millijoules += 2_500
    assert found.taken() == pytest.approx(2.5)
    assert (found.is_shared, library.started) == (False, 1)


def test_a_gpu_without_a_counter_or_library_gives_the_reason(
    library: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(handle: str) -> int:
        raise NvmlError("Not Supported")

    library.nvmlDeviceGetTotalEnergyConsumption = refused
    found = meter(torch.device("cuda", 0))
    assert math.isnan(found.taken())
    assert found.reason == "NVML counts no energy of cuda:0 (Not Supported)"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert 'pip install "genbench[gpu]"' in meter(torch.device("cuda", 0)).reason


def test_the_clock_leaves_pauses_out_and_adds_earlier_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    folder = zone(tmp_path, "intel-rapl:0")
    clock = Clock(0.0, 0, CPU, 10.0)
    set_to(folder, 100_000)
    with clock.paused():
        set_to(folder, 300_000)
        assert clock.joules(ALONE) == pytest.approx(10.1)
    set_to(folder, 350_000)
    with clock.paused():
        assert clock.joules(ALONE) == pytest.approx(10.15)
    with (unknown := Clock(0.0, 0, CPU, None)).paused():
        assert unknown.joules(ALONE) is None  # a part of the training was not measured


def test_a_run_records_its_joules_of_training_and_of_a_sample(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = itertools.count(0.0, 2.0)  # each reading finds 2 J more
    counted = Meter([Counter(lambda: next(readings))], is_shared=True)
    monkeypatch.setattr(energy, "rapl", lambda root: counted)
    done = main(*TINY, "network.patch=4", "budget.images=128", "scores=[fid]", f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (result,) = tmp_path.rglob("result.json")
    cost = json.loads(result.read_text())["cost"]
    assert cost["training_joules"] > 0
    assert cost["joules_per_sample"] == 2 / 64  # one batch of 64 samples, between two readings
    assert "mJ a sample" in done.stdout
