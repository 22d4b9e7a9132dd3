"""Full, unwritable and limited disks: found before training, or one message with the cause and the path."""

import json
import os
import resource
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from tests.attack.driving import SMALL, Done, failed, full_disk, in_mounts, record, refused, train, verb
from tests.conftest import Make

OFTEN = "trainer.checkpoint_every_seconds=1e-6"  # a checkpoint after each step
FREE = "Free some space"


@pytest.fixture(scope="module")
def cache(environment: dict[str, str]) -> Path:
    return Path(environment["GENBENCH_CACHE"])


def only_run(runs: Path) -> Path:
    (run,) = (path.parent for path in runs.rglob("run.json"))
    return run


def test_a_disk_that_fills_at_a_checkpoint_is_one_message_and_the_same_command_goes_on(
    cache: Path, tmp_path: Path
) -> None:
    command = (*SMALL, "budget.images=192", OFTEN)
    with full_disk(r"last\.pt", after=2):  # each checkpoint is synced twice
        done = train(cache, *command, f"runs_dir={tmp_path}/full")
    run = only_run(tmp_path / "full")
    failed(done, "No space left on device: ", "last.pt", FREE, "resumes from the last checkpoint")
    assert record(run)["status"] == "failed"
    assert "No space left on device" in record(run)["error"]
    again = train(cache, *command, f"runs_dir={tmp_path}/full")
    assert again.code == 0, again.err
    assert "at 64 images" in again.out
    assert record(run)["status"] == "done"


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_named_where_torch_hides_it(cache: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, before[1]))  # less than weights and moments take
        late = train(cache, *SMALL, OFTEN, f"runs_dir={tmp_path}/late")
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))  # less than the weights take
        early = train(cache, *SMALL, OFTEN, f"runs_dir={tmp_path}/early")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    failed(late, "File too large: ", "last.pt", "ulimit -f", "starts from the beginning")
    assert "unexpected pos" not in late.err
    refused(early, "files may have 0.2 MB at most (ulimit -f)")
    assert not list((tmp_path / "early").rglob("*.*"))


@pytest.mark.parametrize("file", ["metrics.jsonl", "result.json"])
def test_whatever_a_run_cannot_write_ends_it_as_failed_with_the_path(
    cache: Path, tmp_path: Path, file: str
) -> None:
    with full_disk(file):
        done = train(cache, *SMALL, "budget.images=64", f"runs_dir={tmp_path}")
    failed(done, "No space left on device: ", file, FREE)
    assert record(only_run(tmp_path))["status"] == "failed"
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("folder", ["checkpoints", pytest.param("samples", marks=pytest.mark.slow)])
def test_a_file_where_a_folder_should_be_is_found_before_training(
    cache: Path, tmp_path: Path, folder: str
) -> None:
    with full_disk("real.png"):  # before its first step
        assert train(cache, *SMALL, f"runs_dir={tmp_path}").code == 1
    run = only_run(tmp_path)
    shutil.rmtree(run / folder, ignore_errors=True)
    (run / folder).write_text("mine")
    done = train(cache, *SMALL, f"runs_dir={tmp_path}")
    refused(done, f"Not a directory: {run / folder}")
    assert len(record(run)["sessions"]) == 1
    assert (run / folder).read_text() == "mine"


def test_a_disk_without_room_for_two_checkpoints_is_found_before_training(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 500_000, 500_000))
    done = train(cache, *SMALL, f"runs_dir={tmp_path}")
    refused(done, "has 0.5 MB free", "free some space, or choose another runs_dir")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_cache_that_has_the_data_is_enough_though_nothing_can_be_added_to_it(
    cache: Path, tmp_path: Path
) -> None:
    if not (cache / "data").exists():
        assert train(cache, *SMALL, f"runs_dir={tmp_path}/first").code == 0
    shutil.copytree(cache / "data", tmp_path / "cache" / "data")
    (tmp_path / "cache" / "reference").write_text("no folder")
    words = (*SMALL, "metrics=standard", "metrics.samples=64", "scores=[fid]", f"runs_dir={tmp_path}/runs")
    with pytest.warns(UserWarning, match="is not kept for later runs"):
        done = train(tmp_path / "cache", *words)
    assert done.code == 0, done.err


def test_a_cache_that_cannot_be_made_is_refused_with_the_variable_that_names_another(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    done = train(tmp_path / "cache", *SMALL, f"runs_dir={tmp_path}/runs")
    refused(done, f"{tmp_path}/cache", "GENBENCH_CACHE")


@pytest.mark.slow
def test_a_job_that_meets_a_full_disk_fails_alone_and_the_same_sweep_tries_it_again(
    cache: Path, tmp_path: Path
) -> None:
    command = ("-m", *SMALL, "budget.images=64", "seed=0,1", f"runs_dir={tmp_path}")
    with full_disk(r"seed0.*last\.pt"):
        done = train(cache, *command)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "job 1 of 2 failed after " in done.out
    assert ": No space left on device" in done.out
    assert "job 2 of 2 done" in done.out
    again = train(cache, *command)
    assert again.code == 0, again.err
    assert "job 1 of 2 done" in again.out
    assert "job 2 of 2 skipped" in again.out


RESULT = {"genbench": "0.1.0", "choices": {"model": "ddpm"}, "metrics": {"fid[f,n=1,ref=train,ema]": 1.5}}


def test_a_report_that_finds_no_room_leaves_the_older_one_and_ends_with_one(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "result.json").write_text(json.dumps(RESULT))
    out = tmp_path / "report.md"
    out.write_text("older")
    with full_disk(r"report\.md"):
        failed(verb(cache, "report", tmp_path / "runs", "--out", out), f"No space left on device: {out}")
    assert out.read_text() == "older"
    (tmp_path / "file").write_text("")
    refused(verb(cache, "report", tmp_path / "runs", "--out", tmp_path / "file" / "x.md"), "Not a directory")
    folder = tmp_path / "page"
    with full_disk(r"index\.html"):
        failed(
            verb(cache, "report", tmp_path / "runs", "--format", "html", "--assets", "--out", folder),
            str(folder / "index.html"),
        )
    assert not folder.exists()


def test_images_that_find_no_room_leave_no_folder_in_the_way_of_the_same_command(
    cache: Path, tmp_path: Path, made: Make
) -> None:
    run = made("model=vae", "data=digits")
    with full_disk(r"grid\.png"):
        done = verb(cache, "sample", run, "--out", tmp_path / "images", "--n", 2, "--device", "cpu")
    failed(done, f"No space left on device: {tmp_path}/images/grid.png")
    assert not (tmp_path / "images").exists()


def test_a_folder_of_the_user_stays_where_a_command_fails(cache: Path, tmp_path: Path, made: Make) -> None:
    run, out = made("model=vae", "data=digits"), tmp_path / "out"
    out.mkdir()
    words = ("sample", run, "--out", out, "--n", 2, "--device", "cpu")
    refused(verb(cache, *words, "--inpaint", tmp_path / "none.png", "--mask", "left"))
    with full_disk(r"grid\.png"):
        failed(verb(cache, *words), f"No space left on device: {out}/grid.png")
    assert list(out.iterdir()) == []  # so that the same command finds it empty


RUNS = """
mkdir runs; $MAIN runs_dir=runs > /dev/null || exit 99
RUN=$(echo runs/default/*)
unfinished() { sed -i 's/"status": "done"/"status": "stopped"/' $RUN/run.json; rm $RUN/result.json; }
read_only() { mount --bind $1 $1; mount -o remount,ro,bind $1; }
"""
SMALL_DISK = "mkdir disk; mount -t tmpfs -o size={} tmpfs disk; "
FULL_DISK = SMALL_DISK.format("16k") + "cat /dev/zero > disk/x; "
SCORED = "metrics=standard metrics.samples=64"
NO_SPACE, READ_ONLY = "No space left on device", "Read-only file system"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (SMALL_DISK.format("64k") + "$MAIN runs_dir=disk", 2, ["free some space"]),
        (FULL_DISK + "$MAIN runs_dir=disk/runs", 2, [NO_SPACE]),
        (
            SMALL_DISK.format("1400k") + f"$MAIN runs_dir=disk budget.images=192 {OFTEN}",
            1,
            [NO_SPACE, "last.pt", "resumes from the last checkpoint"],
        ),
        (
            SMALL_DISK.format("1400k") + f"CALL='$MAIN runs_dir=disk budget.images=192 {OFTEN}'; eval $CALL;"
            "mount -o remount,size=9m disk; eval $CALL",
            0,
            [],
        ),
        (RUNS + "read_only runs; $MAIN runs_dir=runs", 0, []),
        (RUNS + "unfinished; read_only runs; $MAIN runs_dir=runs", 2, [READ_ONLY, "runs/default"]),
        (RUNS + "unfinished; read_only $RUN/checkpoints; $MAIN runs_dir=runs", 2, [READ_ONLY, "checkpoints"]),
        (RUNS + "unfinished; read_only $RUN/samples; $MAIN runs_dir=runs", 2, [READ_ONLY, "samples"]),
        (RUNS + "read_only runs; $MAIN seed=1 runs_dir=runs", 2, [READ_ONLY]),
        (RUNS + "read_only runs; $MAIN -m seed=1,2 runs_dir=runs", 2, [READ_ONLY, ".sweeps"]),
        (RUNS + f"read_only $GENBENCH_CACHE; $MAIN seed=1 runs_dir=runs {SCORED}", 0, []),
        (RUNS + "read_only $GENBENCH_CACHE; $MAIN precision=auto runs_dir=runs", 0, []),
        (RUNS + "mkdir c; read_only c; GENBENCH_CACHE=c $MAIN runs_dir=r", 2, [READ_ONLY, "GENBENCH_CACHE"]),
        ("ulimit -f 1; $MAIN runs_dir=runs", 2, ["File too large"]),
        (f"ulimit -f 700; $MAIN runs_dir=runs {OFTEN}", 1, ["File too large", "last.pt", "ulimit -f"]),
        (RUNS + "mkdir r; mount --bind r r; read_only /; $MAIN runs_dir=r", 2, ["TMPDIR"]),
        (RUNS + FULL_DISK + "$GENBENCH report runs --out disk/r.md", 2, [NO_SPACE]),
        (RUNS + "mkdir o; read_only o; $GENBENCH sample $RUN --n 2 --out o/x", 2, [READ_ONLY]),
        (RUNS + SMALL_DISK.format("40k") + "$GENBENCH sample $RUN --out disk/x", 1, [NO_SPACE, "disk/x"]),
        (RUNS + "read_only runs; $GENBENCH evaluate $RUN --set metrics=likelihood", 2, [READ_ONLY, "--out"]),
        (RUNS + FULL_DISK + "$GENBENCH schedules --out disk/x.png", 2, [NO_SPACE]),
    ],
)  # fmt: skip
def test_small_and_read_only_file_systems(
    environment: dict[str, str], tmp_path: Path, script: str, code: int, words: list[str]
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    done = in_mounts(script, environment | {"GENBENCH_CACHE": str(cache)}, cwd=tmp_path)
    assert done.code == code, done
    assert "Traceback" not in done.err, done.err
    assert [word for word in words if word not in done.err] == [], done.err


@pytest.mark.slow
def test_another_user_is_told_what_is_not_writable(environment: dict[str, str], tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can run a command as somebody else (setpriv)")
    script = "mkdir runs; setpriv --reuid 65534 --regid 65534 --clear-groups $MAIN runs_dir=runs"
    places = {name: str(tmp_path / name) for name in ("GENBENCH_CACHE", "HOME", "MPLCONFIGDIR")}
    done: Done = in_mounts(
        f"mkdir GENBENCH_CACHE; chmod 777 GENBENCH_CACHE; {script}", environment | places, cwd=tmp_path
    )
    if "Permission denied" in done.err and str(Path(__file__).parents[2]) in done.err:
        pytest.skip("the other user may not read the project")
    refused(done, "Permission denied", "runs")
