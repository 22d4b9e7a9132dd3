"""The HTML report on a local port, made anew as runs progress."""

import io
import os
import socket
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any

from genbench.runtime.printable import printable

__all__ = ["LiveReport", "server", "state_of"]

OF_RUN = ("result.json", "run.json", "metrics.jsonl")
WATCHED = (*OF_RUN, "evaluations.jsonl")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ASK_SECONDS, ANSWER_SECONDS = 10.0, 300.0  # that a client has for its whole request, and to take the answer
CLIENTS = 64  # served at once, each by a thread of its own; more are hung up on


def state_of(runs_dir: Path) -> str:
    """What changes when a run goes on: a number of all watched files' sizes and times."""
    facts = []
    for folder, subfolders, files in os.walk(runs_dir):
        found = [name for name in WATCHED if name in files]
        if any(name in OF_RUN for name in found):  # evaluations may lie above runs, by --out
            subfolders.clear()  # a run holds no runs
        facts += [(folder, name, *size_and_time(os.path.join(folder, name))) for name in found]
    return f"{hash(tuple(sorted(facts))) & 0xFFFFFFFFFFFF:x}"


def size_and_time(path: str) -> tuple[int, int]:
    """Bytes of a file and nanoseconds of its last change; zeros of a link that leads nowhere."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


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


class Request(io.RawIOBase):
    """The bytes that a client sends, as long as its time lasts; then reading raises TimeoutError.

    A timeout of the socket alone would start again with each byte, and a client hold its thread for ever.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.connection, self.end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (whatever holds bytes)
        self.connection.settimeout(max(self.end - time.monotonic(), 1e-3))
        return self.connection.recv_into(buffer)


class Server(ThreadingHTTPServer):
    """A server to a bounded number of clients at once, silent where one hangs up in mid-answer."""

    request_queue_size = CLIENTS

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.free = Semaphore(CLIENTS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)
        self.is_local = is_loopback(host) or is_loopback(str(self.server_address[0]))

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (as socketserver has it)
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        if not isinstance(sys.exception(), OSError):  # of the connection: the client is gone, or too slow
            super().handle_error(request, client_address)


def server(live: LiveReport, host: str, port: int, *, ask_seconds: float = ASK_SECONDS) -> Server:
    """A server of two paths: / is the page, /state is what changes with it. Port 0 takes a free one.

    On a loopback address it answers requests that name such a host alone, so that no page of another site
    can read it under a name of its own (DNS rebinding). A client that does not finish its request within
    ask_seconds is hung up on.
    """

    class Handler(BaseHTTPRequestHandler):
        """One request; nothing is written, and no file is named by it."""

        log_message = staticmethod(lambda *_: None)  # the terminal belongs to the user

        def setup(self) -> None:
            super().setup()
            self.rfile = io.BufferedReader(Request(self.connection, ask_seconds))

        def do_GET(self) -> None:
            self.connection.settimeout(ANSWER_SECONDS)
            if made.is_local and host_name(self.headers.get("Host", "")) not in (*LOOPBACK, host):
                self.answer(403, b"genbench serve answers to localhost alone\n", "text/plain")
            elif self.path not in ("/", "/state"):
                self.answer(404, b"there is / alone\n", "text/plain")
            else:
                self.show(live.page if self.path == "/" else live.state_now)

        def show(self, content: Callable[[], bytes]) -> None:
            """The page or its state, or why there is none: runs may be moved away while they are read."""
            try:
                body = content()
            except (OSError, ValueError) as error:
                self.answer(500, printable(f"{error}\n").encode(), "text/plain")
            else:
                self.answer(200, body, "text/html" if content == live.page else "text/plain")

        def answer(self, status: int, body: bytes, kind: str) -> None:
            """Send a body."""
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

    made = Server(host, port, Handler)
    return made


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
