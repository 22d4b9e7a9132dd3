import http.client
import json
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.page import html
from genbench.report.page.serve import LiveReport, is_loopback, server, state_of

Write = Callable[..., Path]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    def page(state: str) -> str:
        return html(compare(tmp_path, Query(), unfinished=True), title="runs", state=state)

    with server(LiveReport(tmp_path, page), "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def get(listening: ThreadingHTTPServer, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", listening.server_port, timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_page_and_its_state_change_when_a_run_goes_on(
    listening: ThreadingHTTPServer, tmp_path: Path, write: Write
) -> None:
    _, empty = get(listening, "/")
    before = get(listening, "/state")
    assert f'data-state="{before[1]}"' in empty
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "run.json").write_text(json.dumps({"status": "running", "error": None}))
    running = get(listening, "/state")
    assert running != before
    assert "Runs in progress" in get(listening, "/")[1]
    write("new")
    status, finished = get(listening, "/")
    assert status == 200
    assert "Runs in progress" not in finished
    assert "1 of 1 rows" in finished
    assert get(listening, "/state") != running
    assert get(listening, "/state") == get(listening, "/state")


def test_no_file_can_be_asked_for(listening: ThreadingHTTPServer, write: Write) -> None:
    write("a")
    for path in ("/a/result.json", "/../etc/passwd", "//etc/passwd", "/?x", "/assets/x.png"):
        assert get(listening, path)[0] == 404


def test_another_sites_name_for_this_machine_is_refused(listening: ThreadingHTTPServer) -> None:
    port = listening.server_port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example"):
        assert get(listening, "/", host)[0] == 403
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost"):
        assert get(listening, "/", host)[0] == 200


def test_a_directory_that_is_gone_is_an_error_in_words(tmp_path: Path) -> None:
    live = LiveReport(tmp_path / "gone", lambda state: html(compare(tmp_path / "gone", Query()), title=""))
    with pytest.raises(FileNotFoundError, match="gone is not a directory"):
        live.page()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_only_loopback_addresses_are_this_machines_own(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


def test_a_later_evaluation_changes_the_state(
    tmp_path: Path, write: Write, evaluated: Callable[..., None]
) -> None:
    path, before = write("a"), state_of(tmp_path)
    evaluated(path, {"metrics": {}})
    after = state_of(tmp_path)
    assert after != before
    (tmp_path / "evaluations.jsonl").write_text("{}\n")  # above the runs, as by --out
    above = state_of(tmp_path)
    write("b")
    assert state_of(tmp_path) != above
