"""Free memory within the limits of control groups, such as a container's, by folders like the kernel's."""

from pathlib import Path

import pytest

from genbench.runtime import memory
from genbench.runtime.memory import free_in_groups, free_memory, installed_memory

NO_LIMIT = str(2**63 - 4096)  # what version 1 has for none


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files of a control group, by their names after "memory."."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")


def free(folder: Path, own: str) -> list[int]:
    (folder / "own").write_text(own)
    return free_in_groups(folder / "groups", folder / "own")


def test_the_limits_of_a_group_and_of_those_around_it_count(tmp_path: Path) -> None:
    write(tmp_path / "groups/job/step", {"max": "max", "current": "5"})
    write(tmp_path / "groups/job", {"max": "1000", "current": "400"})
    write(tmp_path / "groups", {"max": "3000", "current": "900"})
    assert free(tmp_path, "0::/job/step\n") == [600, 2100]


def test_pages_of_files_are_free_and_memory_beyond_the_limit_is_none(tmp_path: Path) -> None:
    stat = "anon 400\nactive_file 200\ninactive_file 300\nodd"
    write(tmp_path / "groups/job", {"max": "1000", "current": "900", "stat": stat})
    write(tmp_path / "groups", {"max": "1000", "current": "1200"})
    assert free(tmp_path, "0::/job\n") == [600, 0]


def test_version_1_has_other_files_in_a_folder_of_the_controller(tmp_path: Path) -> None:
    write(
        tmp_path / "groups/memory/job",
        {
            "limit_in_bytes": "1000",
            "usage_in_bytes": "700",
            "stat": "active_file 1\ntotal_active_file 50\ntotal_inactive_file 50",
        },
    )
    write(tmp_path / "groups/memory", {"limit_in_bytes": NO_LIMIT, "usage_in_bytes": "800"})
    found = free(tmp_path, "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/job\n0::/job\n")
    assert found == [400, int(NO_LIMIT) - 800]


def test_a_container_that_sees_its_own_group_alone_has_its_limit(tmp_path: Path) -> None:
    write(tmp_path / "groups", {"max": "1000", "current": "400"})
    assert free(tmp_path, "0::/system.slice/docker-5f.scope\n") == [600]


@pytest.mark.parametrize("own", ["", "odd", "0::/gone", "0::/../../x", "\n\n", "a:b:c:d:e"])
def test_without_a_limit_or_files_there_is_nothing_to_count(own: str, tmp_path: Path) -> None:
    write(tmp_path / "groups", {"max": "max", "current": "400"})
    write(tmp_path / "groups/memory", {"limit_in_bytes": "-1", "usage_in_bytes": "", "stat": "x"})
    assert free(tmp_path, own) == []
    assert free_in_groups(tmp_path / "none", tmp_path / "none") == []


def test_free_memory_is_the_least_of_the_machines_and_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_in_groups", lambda: [700, 500])
    assert free_memory() == 500
    monkeypatch.setattr(memory, "free_in_groups", list)
    assert 500 < free_memory() <= installed_memory()
