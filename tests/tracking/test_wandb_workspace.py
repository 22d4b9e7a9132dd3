"""The dashboard as a user meets it: its specification offline, its saving at a server of our own."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

pytest.importorskip("wandb_workspaces", reason='pip install "genbench[dashboard]"')

BOUNDS = ("exact", "lower", "estimate")


def dashboard(home: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """The verb, without the user's own wandb account."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    own = {"HOME": str(home), "WANDB_CONFIG_DIR": str(home), "NETRC": str(home / "netrc")}
    command = [sys.executable, "-m", "genbench", "dashboard", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=kept | own | variables, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The specification of a dry run."""
    home = tmp_path_factory.mktemp("home")
    done = dashboard(home, "--project", "p", "--data", "digits", "--dry-run", "--out", home / "spec.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{home}/spec.json is written\n", "")
    return json.loads((home / "spec.json").read_text())


def sections(spec: dict[str, Any]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The panels of each section: kind and settings."""
    found = spec["section"]["panelBankConfig"]["sections"]
    return {s["name"]: [(panel["viewType"], panel["config"]) for panel in s["panels"]] for s in found}


def test_a_dry_run_writes_every_panel_that_compares_families(view: dict[str, Any]) -> None:
    assert (view["project"], view["displayName"]) == ("p", "families on digits")
    found = sections(view["spec"])
    for axis, title in (("images_seen", "images seen"), ("training_seconds", "seconds")):
        panels = found[f"Distance and score against {title}"]
        dots = {config["yAxis"] for kind, config in panels if kind == "Scatter Plot"}
        lines = {config["metrics"][0] for kind, config in panels if kind == "Run History Line Plot"}
        assert dots == {"summary:fid", "summary:kid", "summary:is"}
        assert lines == {"training/fid", "training/kid", "training/is"}
        assert {config["xAxis"].removeprefix("summary:") for _, config in panels} == {axis}
    fronts = [config for _, config in found["Pareto: distance against cost"]]
    assert all(config["showMinYAxisLine"] for config in fronts)
    bars = [config for _, config in found["Likelihood"]]
    assert [config["metrics"] for config in bars] == [[f"bits_per_dim_{bound}"] for bound in BOUNDS]
    assert {config["groupBy"] for config in bars} == {"family.value"}
    samples = found["Samples by family"]
    assert "result_table" in json.dumps(samples[0])
    assert ["samples"] in [config.get("mediaKeys") for _, config in samples]


def test_a_data_set_keeps_the_runs_on_others_out(view: dict[str, Any], tmp_path: Path) -> None:
    (runs,) = view["spec"]["section"]["runSets"]
    (only,) = runs["filters"]["filters"]
    assert (only["key"], only["op"], only["value"]) == ({"section": "run", "name": "jobType"}, "=", "digits")
    done = dashboard(tmp_path, "--project", "p", "--dry-run")
    assert json.loads(done.stdout)["spec"]["section"]["runSets"][0]["filters"]["filters"] == []


REFUSALS = {
    "not logged in": ([], "wandb is not logged in"),
    "no such data": (
        ["--data", "digit", "--dry-run"],
        "--data is 'digit': choose from captioned, celeba, ",
    ),
    "a file of nothing": (["--out", "spec.json"], "--out spec.json needs --dry-run"),
    "a folder": (["--out", ".", "--dry-run"], "not a regular file"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_is_one_line_and_exit_code_2(name: str, tmp_path: Path) -> None:
    arguments, words = REFUSALS[name]
    done = dashboard(tmp_path, "--project", "p", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert words in line


class Server(BaseHTTPRequestHandler):
    """As much of wandb's server as saving a workspace needs."""

    saved: list[dict[str, Any]]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {"viewer": {"id": "1", "entity": "team", "username": "me"}}
        if "upsertView" in asked["query"]:
            self.saved.append(asked["variables"])
            answer = {"upsertView": {"view": {"id": "1", "name": asked["variables"]["name"]}}}
        body = json.dumps({"data": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Server.saved = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


def nameless(spec: dict[str, Any]) -> str:
    """A specification without the names of its panels, which are drawn anew each time."""
    return re.sub(r'"(__id__|id|name)": "\w{8,}"', "", json.dumps(spec, sort_keys=True))


def test_who_is_logged_in_gets_the_workspace_of_the_dry_run_and_its_address(
    view: dict[str, Any], server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    login = {"WANDB_BASE_URL": url, "WANDB_API_KEY": "a" * 40}
    done = dashboard(tmp_path, "--project", "p", "--data", "digits", **login)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{url}/team/p?nw=")
    (saved,) = Server.saved
    assert (saved["entityName"], saved["projectName"]) == ("team", "p")
    assert saved["displayName"] == "families on digits"
    assert nameless(json.loads(saved["spec"])) == nameless(view["spec"])


def test_a_server_that_is_not_there_is_one_line_and_exit_code_2(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    server.shutdown()
    server.server_close()
    login = {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": "a" * 40}
    done = dashboard(tmp_path, "--project", "p", **login)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("genbench: wandb: ")
