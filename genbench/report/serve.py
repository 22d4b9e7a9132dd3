"""The HTML report on a local port, made anew as runs progress."""

import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Lock

__all__ = ["LiveReport", "server", "state_of"]

OF_RUN = ("result.json", "run.json", "metrics.jsonl")
WATCHED = (*OF_RUN, "evaluations.jsonl")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def state_of(runs_dir: Path) -> str:
    """What changes when a run goes on: a number of all watched files' sizes and times."""
    facts = []
    for folder, subfolders, files in os.walk(runs_dir):
        found = [name for name in WATCHED if name in files]
        if any(name in OF_RUN for name in found):  # evaluations may lie above runs, by --out
            subfolders.clear()  # a run holds no runs
        for name in found:
            stat = os.stat(os.path.join(folder, name))
            facts.append((folder, name, stat.st_size, stat.st_mtime_ns))
    return f"{hash(tuple(sorted(facts))) & 0xFFFFFFFFFFFF:x}"


class LiveReport:
    """The page of a directory; written again only when something below it has changed."""

    def __init__(self, runs_dir: Path, write: Callable[[str], str]) -> None:
        self.runs_dir, self.write = runs_dir, write
        self.lock, self.state, self.text = Lock(), "", b""

    def page(self) -> bytes:
        """The page as it is now."""
        with self.lock:
            state = state_of(self.runs_dir)
            if state != self.state:
                self.text, self.state = self.write(state).encode(), state
            return self.text

    def state_now(self) -> bytes:
        """What changes when a run goes on."""
        return state_of(self.runs_dir).encode()


def server(live: LiveReport, host: str, port: int) -> ThreadingHTTPServer:
    """A server of two paths: / is the page, /state is what changes with it. Port 0 takes a free one.

    On a loopback address it answers requests that name such a host alone, so that no page of another site
    can read it under a name of its own (DNS rebinding).
    """
    is_local = is_loopback(host)

    class Handler(BaseHTTPRequestHandler):
        """One request; nothing is written, and no file is named by it."""

        def do_GET(self) -> None:
            if is_local and host_name(self.headers.get("Host", "")) not in (*LOOPBACK, host):
                self.answer(403, b"genbench serve answers to localhost alone\n", "text/plain")
            elif self.path not in ("/", "/state"):
                self.answer(404, b"there is / alone\n", "text/plain")
            else:
                self.show(live.page if self.path == "/" else live.state_now)

        def show(self, content: Callable[[], bytes]) -> None:
            """The page or its state, or why there is none: runs may be moved away while they are read."""
            try:
                self.answer(200, content(), "text/html" if content == live.page else "text/plain")
            except (OSError, ValueError) as error:
                self.answer(500, f"{error}\n".encode(), "text/plain")

        def answer(self, status: int, body: bytes, kind: str) -> None:
            """Send a body."""
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Nothing: the terminal belongs to the user."""

    return ThreadingHTTPServer((host, port), Handler)


def is_loopback(host: str) -> bool:
    """Whether a server there can be reached from this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The host of a request without its port."""
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdigit() else header
