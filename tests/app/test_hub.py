"""Models to the Hub and back, over a server on the loopback interface that speaks the calls that are used."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from genbench.app.export import export
from genbench.app.hub import push
from genbench.runtime.context import Context
from tests.conftest import Done, Make

COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """One repository, somebody/model: to make it, to commit files, and to download them with their commit."""

    files: dict[str, bytes] = {}  # noqa: RUF012 (of the class: each request is another instance)
    tokens: set[str | None] = set()  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.tokens.add(self.headers.get("Authorization"))
        if "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            answer = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self.answer({"files": answer})
        elif "/commit/" in self.path:
            for entry in map(json.loads, body.splitlines()):
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.answer({"commitUrl": f"{self.address}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.answer({"url": self.address, "errors": [], "warnings": []})

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if "/resolve/old/" in self.path:
            self.answer({"error": "no revision"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        if not self.path.startswith("/somebody/model/resolve/") or name not in self.files:
            self.answer({"error": "not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        content = self.files[name]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.send(content, 200, {"ETag": etag, "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET  # noqa: N815 (as the base class calls it)

    @property
    def address(self) -> str:
        return f"http://{self.headers['Host']}/somebody/model"

    def answer(self, content: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send(json.dumps(content).encode(), code, {"Content-Type": "application/json", **(headers or {})})

    def send(self, content: bytes, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as made:
        Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


@pytest.fixture(scope="module")
def folder(made: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub") / "model"
    export(made("model=autoencoder"), out, context=Context(torch.device("cpu")))
    return out


def genbench(*words: object, home: Path, endpoint: str, **more: str) -> Done:
    """Return the output of a verb in a process of its own: the library reads its settings at its import."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_TOKEN": "hf_written_nowhere", **more}
    settings["GENBENCH_CACHE"] = str(home / "cache")
    environment = {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", **settings}
    command = [sys.executable, "-m", "genbench", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_a_model_comes_back_from_the_hub_as_it_was_pushed(server: str, folder: Path, tmp_path: Path) -> None:
    done = genbench("push", folder, "somebody/model", home=tmp_path, endpoint=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{server}/somebody/model"
    assert Hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert Hub.tokens == {"Bearer hf_written_nowhere"}
    words = ("--n", 2, "--device", "cpu")
    for place, out in ((folder, tmp_path / "here"), ("hf:somebody/model", tmp_path / "there")):
        done = genbench("sample", place, "--out", out, *words, home=tmp_path, endpoint=server)
        assert done.returncode == 0, done.stderr
    arrays = [(tmp_path / name / "samples.npz").read_bytes() for name in ("here", "there")]
    assert arrays[0] == arrays[1]
    # The commit that was resolved is printed, to be given as a revision.
    assert done.stdout.endswith(f"the same again: hf:somebody/model@{COMMIT}\n")
    assert (tmp_path / "cache" / "hub" / "somebody" / "model" / "REVISION").read_text() == COMMIT
    # What was downloaded once is used offline.
    out = tmp_path / "offline"
    done = genbench(
        "sample",
        "hf:somebody/model",
        "--out",
        out,
        *words,
        home=tmp_path,
        endpoint=server,
        HF_HUB_OFFLINE="1",
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_with_a_link_is_not_uploaded(folder: Path, tmp_path: Path) -> None:
    sent = Path(shutil.copytree(folder, tmp_path / "sent"))
    (tmp_path / "secret").write_text("a password")
    (sent / "notes").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="notes is a link, whose file would be uploaded"):
        push(sent, "somebody/model")


@pytest.mark.slow  # a process each
@pytest.mark.parametrize(
    ("words", "offline", "code", "message"),
    [
        (
            ("sample", "hf:somebody/missing", "--out", "out"),
            "0",
            2,
            "the Hub has no exported model somebody/missing",
        ),
        (
            ("sample", "hf:not a name", "--out", "out"),
            "0",
            2,
            "'not a name' is not a name on the Hub: give USER/NAME",
        ),
        (
            ("sample", "hf:somebody/model@old", "--out", "out"),
            "0",
            2,
            "the Hub has no such revision, somebody/model@old",
        ),
        (
            ("sample", "hf:somebody/model", "--out", "out"),
            "1",
            1,
            "is not in the cache and the Hub cannot be reached",
        ),
        (("push", ".", "somebody/model"), "0", 2, "is not an exported model: write one by genbench export"),
    ],
)
def test_what_the_hub_lacks_or_cannot_do_is_said_in_one_message(
    words: tuple[str, ...], offline: str, code: int, message: str, server: str, tmp_path: Path
) -> None:
    done = genbench(*words, home=tmp_path, endpoint=server, HF_HUB_OFFLINE=offline)
    assert done.returncode == code, done
    assert done.stderr.count("genbench: ") == 1, done.stderr
    assert message in done.stderr
    assert "hf_written_nowhere" not in done.stderr


@pytest.mark.slow  # the library tries again and again
@pytest.mark.parametrize(
    "words", [("push", "FOLDER", "somebody/model"), ("sample", "hf:somebody/model", "--out", "out")]
)
def test_a_hub_that_does_not_answer_is_the_machines_fault(
    words: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    named = [str(folder) if word == "FOLDER" else word for word in words]
    done = genbench(*named, home=tmp_path, endpoint="http://127.0.0.1:9")  # discard, where nobody listens
    assert done.returncode == 1, done
    assert done.stderr.count("genbench: ") == 1, done.stderr
    assert "the Hub cannot be reached" in done.stderr
