"""Text of strangers on its way out: no terminal obeys it, no spreadsheet computes it, no page runs it."""

import csv
import http.client
import io
import json
import os
import pty
import re
import socket
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import pytest

from genbench import app
from genbench.report.page.serve import LiveReport, server
from genbench.runtime.progress import Progress, terminal
from tests.attack.verbs import FID, finished_run, genbench
from tests.conftest import Command
from tests.toys import TINY

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
BACKWARDS = "\u202egnp.exe\u2066"
HOSTILE = f"a{ESCAPES}b{BACKWARDS}c\rd\x08e\x9b31mf\u200bg"
MARKUP = "[red]x[/red][/nothing] :boom: [link=http://evil.example]y[/link]"
FORMULAS = ("=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1", " =1", "x;=1+1")
CHOICES = {"model": "ddpm", "data": "digits"}
RESET = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER's value with which a connection is reset rather than closed."""
SECRET = "s3cr3t-0123456789abcdef0123456789abcdef"


def dangerous(text: str) -> set[str]:
    """The characters of a text that a terminal or a reader of text obeys, without line breaks."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {letter for letter in text if unicodedata.category(letter) in kinds} - {"\n"}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs with hostile text in each of their places, finished and not."""
    names = {"model": HOSTILE, "data": MARKUP, "schedule": HOSTILE + MARKUP, f"key{HOSTILE}": "x"}
    for seed, extra in enumerate(("", "2")):
        settings = {"sampler": {f"set{HOSTILE}": f"{HOSTILE}{extra}"}, "budget": {"images": 512}}
        noise = {"t": [0.0, 1.0], "alpha_bar": [1.0, 0.0]}
        bits = {"bits_per_dim": 3.5, "bound": HOSTILE, "method": MARKUP, "n": 9}
        metrics = {FID: 1.0 + seed, f"fid[{BACKWARDS}\x9b1m,n=9,ref=train,ema]": 1.0}
        own = {"choices": names, "config": settings, "group": HOSTILE, "noise": noise, "likelihood": bits}
        finished_run(tmp_path / "runs" / f"run{extra}{ESCAPES}{BACKWARDS}[red]", seed, metrics=metrics, **own)
        log = json.dumps({"images_seen": 1, f"{HOSTILE}/loss": 1.0})
        again = json.dumps({"images_seen": 2, f"{HOSTILE}/loss": 2.0})
        run = next(path for path in (tmp_path / "runs").iterdir() if path.name.startswith(f"run{extra}\x1b"))
        (run / "metrics.jsonl").write_text(f"{log}\n{again}\n")
        (run / ".hydra" / "overrides.yaml").write_text(json.dumps([f"name={HOSTILE}", f"data={MARKUP}"]))
        record = {"status": "done", "error": None, "versions": {"torch": HOSTILE}, "git": {"commit": ESCAPES}}
        (run / "run.json").write_text(json.dumps(record))
    failed = tmp_path / "runs" / "failed"
    failed.mkdir()
    (failed / "run.json").write_text(json.dumps({"status": f"{MARKUP}{ESCAPES}", "error": HOSTILE + MARKUP}))
    (tmp_path / "runs" / "broken\x1b[5m").mkdir()
    (tmp_path / "runs" / "broken\x1b[5m" / "result.json").write_text(f"{{{HOSTILE}")
    return tmp_path / "runs"


@pytest.mark.parametrize("format", ["md", "csv", "json", "latex", "html"])
@pytest.mark.parametrize("to_file", [False, True])
def test_a_report_holds_no_character_that_a_terminal_obeys(
    runs: Path, tmp_path: Path, format: str, to_file: bool
) -> None:
    out = tmp_path / "out"
    words = ["--out", out] if to_file else []
    done = genbench("report", runs, "--format", format, *words)
    assert done.code == 0, done.err
    text = out.read_text() if to_file else done.out
    assert dangerous(text + done.out + done.err) == set()
    assert "1b" in text  # it is spelt out, not lost


def test_keys_errors_and_comparisons_hold_none_either(runs: Path) -> None:
    name = next(path.name for path in runs.iterdir() if path.name.startswith("run\x1b"))
    for words in (
        ("report", runs, "--keys", "--all"),
        ("report", runs, "--filter", "model=nothing"),
        ("report", runs, "--sort", "modle"),
        ("report", runs / "failed"),
        ("report", runs / "\x1b[31mnowhere"),
        ("compare", runs, runs, "--a", "seed=0", "--b", "seed=1"),
        ("compare", runs / name, runs / name),
        ("sample", runs / name, "--out", runs / "out"),
        ("evaluate", runs / name, "--device", "cpu"),
        ("evaluate", runs / "\x1b[31mnowhere"),
    ):
        done = genbench(*words)
        assert dangerous(done.out + done.err) == set(), words


def test_rich_shows_text_as_it_is_on_a_terminal_and_obeys_none_of_it(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = on_a_terminal(monkeypatch, lambda: genbench_here("report", runs))
    assert "[red]x[/red][/nothing] :boom:" in re.sub(r"\s+", " ", shown)
    # What is left after rich's own colours and cursor is text.
    assert dangerous(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r\n", "\n")) == set()
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[31m" not in shown


def test_progress_and_lines_of_a_run_are_text_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console = terminal()
    console.print(HOSTILE + MARKUP, soft_wrap=True)
    console.print(f"runs/{MARKUP}", soft_wrap=True)
    with Progress(console).bar(HOSTILE, 1) as bar:
        bar.print_line()
    said = capsys.readouterr().out
    assert dangerous(said) == set()
    assert MARKUP in said


def genbench_here(*words: object) -> None:
    """A verb whose output is this process's own."""
    from genbench.cli import main as cli

    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()):
        patch.setattr("sys.argv", ["genbench", *map(str, words)])
        with pytest.raises(SystemExit):
            cli.main()


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, work: object) -> str:
    """Return what some work writes to a terminal of 200 columns."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm-256color")
    parts: list[bytes] = []

    def drain() -> None:
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                return
            if not part:
                return
            parts.append(part)

    reader = threading.Thread(target=drain)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdout", file)
        work()  # type: ignore[operator]
        monkeypatch.undo()
    reader.join()
    os.close(ours)
    return b"".join(parts).decode()


def test_no_cell_of_a_csv_file_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    for number, formula in enumerate(FORMULAS):
        choices = {"model": formula, "loss": "-0.5", formula: "x", "steps": -3, "data": "digits"}
        settings = {"budget": {"images": 512}, "optim": {"lr": -1e-5 * number}}
        kid = {FID: 1.0, "kid[f,n=9,ref=train,ema]": -0.25}
        finished_run(tmp_path / "runs" / f"{formula}{number}", choices=choices, config=settings, metrics=kid)
    for words in ((), ("--by", "model")):
        done = genbench("report", tmp_path / "runs", "--format", "csv", *words)
        rows = list(csv.reader(io.StringIO(done.out)))
        cells = [cell for row in rows for part in row for cell in part.split(";")]
        computed = [cell for cell in cells if re.match(r"\s*[=+\-@\uff1d\t\r]", cell) and not number_in(cell)]
        assert computed == []
    records = list(csv.DictReader(io.StringIO(genbench("report", tmp_path / "runs", "--format", "csv").out)))
    assert {record["kid[f,n=9,ref=train,ema]"] for record in records} == {"-0.25"}
    assert {record["loss"] for record in records} == {"-0.5"}
    assert {record["steps"] for record in records} == {"-3"}
    assert sorted(float(record["optim.lr"]) for record in records)[0] == pytest.approx(-8e-5)
    assert "'=1+1" in {record["model"] for record in records}


def number_in(cell: str) -> bool:
    """Tell whether a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_markdown_shows_links_pictures_and_entities_as_text(tmp_path: Path) -> None:
    hostile = "![x](http://evil.example/a.png) [y](javascript:alert(1)) <img src=x> &#8238; a|b `c` [z][r]"
    for seed, loss in enumerate((hostile, "1 < 2, a<3 & '<'")):
        finished_run(tmp_path / "runs" / f"r{seed}", choices=CHOICES | {"loss": loss})
    text = genbench("report", tmp_path / "runs", "--format", "md").out
    assert "](" not in text
    assert "][" not in text
    assert "<img" not in text
    assert "&#8238;" not in text
    assert r"![x]\(http://evil.example/a.png)" in text
    assert "1 < 2, a<3 & '<'" in text  # which no reader of Markdown takes for a tag


def test_latex_runs_no_command_of_a_name(tmp_path: Path) -> None:
    hostile = r"\input{/etc/passwd}^^5cinput $x$ % & # _ ~"
    for seed, loss in enumerate((hostile, "*l2", "[l3]")):
        finished_run(tmp_path / "runs" / f"r{seed}", choices=CHOICES | {"loss": loss})
    text = genbench("report", tmp_path / "runs", "--format", "latex").out
    assert r"\input" not in text
    assert "^^" not in text
    assert not re.search(r"\\\\\s*[*\[]", text)  # \\* and \\[..] are other line breaks


def test_a_command_that_starts_more_than_a_run_is_not_offered(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "runs" / "a")
    for word in ("hydra.callbacks.x._target_=os.abort", "--config-dir=/tmp", "+hydra/launcher=x"):
        (run / ".hydra" / "overrides.yaml").write_text(json.dumps(["model=ddpm", word]))
        text = genbench("report", tmp_path / "runs", "--format", "html").out
        assert "python main.py" not in text
        assert "not recorded" in text


# The server


@contextmanager
def listening(page: str, *, request_seconds: float = 10.0) -> Iterator[int]:
    """A served page; yields its port."""
    live = LiveReport(Path("/nowhere"), lambda state: page)
    with server(live, "127.0.0.1", 0, request_seconds=request_seconds) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made.server_port
        made.shutdown()
        thread.join()


def answer(port: int) -> bytes:
    """The page as a well-mannered client gets it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    return connection.getresponse().read()


def test_a_client_that_hangs_up_in_the_middle_of_an_answer_is_no_news(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with listening("x" * 20_000_000) as port:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
                client.recv(10)
        for words in (b"\x1b[31m\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n", b"GET /\x1b[31m HTTP/9.9\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.sendall(words)
                client.recv(10)
        assert len(answer(port)) == 20_000_000
    done = capfd.readouterr()
    assert (done.out, done.err) == ("", "")


def test_clients_that_send_nothing_or_a_byte_at_a_time_are_hung_up_on() -> None:
    with listening("page", request_seconds=0.3) as port:
        silent = socket.create_connection(("127.0.0.1", port), timeout=60)
        slow = socket.create_connection(("127.0.0.1", port), timeout=60)
        assert drip(slow)
        assert silent.recv(1) == b""
        assert answer(port) == b"page"
        for client in (silent, slow):
            client.close()
        for thread in threading.enumerate():
            if "process_request" in thread.name:
                thread.join(60)
                assert not thread.is_alive()


def drip(client: socket.socket) -> bool:
    """Send a request byte by byte; True once the server has hung up."""
    for _ in range(600):
        try:
            client.sendall(b"G")
            client.settimeout(0.05)
            if client.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_more_clients_than_there_are_threads_for_do_not_keep_others_out() -> None:
    with listening("page", request_seconds=0.5) as port:
        crowd = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(80)]
        assert sum("process_request" in thread.name for thread in threading.enumerate()) <= 64
        for client in crowd:
            client.recv(1)
            client.close()
        assert answer(port) == b"page"


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False), ("127.0.0.2", False)])
def test_any_host_but_loopback_is_warned_of_once(
    runs: Path, monkeypatch: pytest.MonkeyPatch, host: str, warned: bool
) -> None:
    from genbench.report.page.serve import Server

    monkeypatch.setattr(Server, "serve_forever", lambda self: None)
    done = genbench("serve", runs, "--host", host, "--port", 0)
    assert done.code == 0, done.err
    assert ("without a password" in done.err) == warned
    assert done.err.count("\n") == warned
    assert dangerous(done.out + done.err) == set()


# Secrets


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["tracker=jsonl", "tracker=wandb", "tracker=[tensorboard,mlflow]"])
def test_keys_and_tokens_of_the_environment_reach_no_file(
    process: Command, environment: dict[str, str], tmp_path: Path, tracker: str
) -> None:
    names = (
        *("WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"),
        *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    )
    secrets = {name: f"{SECRET}{number}"[-40:] for number, name in enumerate(names)}
    places = {name: str(tmp_path / name) for name in ("HOME", "TMPDIR", "GENBENCH_CACHE")}
    for place in places.values():
        Path(place).mkdir()
    env = environment | secrets | places | {"WANDB_MODE": "offline", "WANDB_DIR": places["HOME"]}
    words = [word for word in TINY if not word.startswith("tracker=")]
    done = process(*words, tracker, f"runs_dir={tmp_path / 'runs'}", env=env)
    assert done.returncode == 0, done.stderr
    failed = process(
        *words, "optim.lr=0.02", "trainer.batch_size=-1", f"runs_dir={tmp_path / 'runs'}", env=env
    )
    assert failed.returncode != 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    found = [str(path) for path in files if any(s.encode() in path.read_bytes() for s in secrets.values())]
    assert found == []
    printed = done.stdout + done.stderr + failed.stdout + failed.stderr
    assert not any(secret in printed for secret in secrets.values())


@pytest.mark.parametrize(
    "word",
    [
        "+hydra.job.env_set.WANDB_API_KEY={}",
        "+hydra.job.env_set={{HF_TOKEN: {}}}",
        "++hydra.job.env_set.db_password={}",
        "+hydra.job.env_set={{OMP_NUM_THREADS: 2, AWS_CREDENTIALS: {}}}",
    ],
)
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["main.py", word.format(SECRET)])
    with pytest.raises(SystemExit) as ending:
        app.run_command(lambda: None)
    assert ending.value.code == 2
    said = capsys.readouterr()
    assert "hydra.job.env_set would write" in said.err
    assert SECRET not in said.out + said.err


@pytest.mark.parametrize("word", [".OMP_NUM_THREADS=2", ".PET=monkey", ".TOKENIZERS_PARALLELISM=false"])
def test_other_variables_may_be_set_for_jobs(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["main.py", f"+hydra.job.env_set{word}"])
    called = []
    app.run_command(lambda: called.append(True))
    assert called
