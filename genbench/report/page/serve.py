"""The HTML page on a local port, made anew when a run below its directory has changed, and blind votes."""

import io
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from genbench.records.files import state_of as file_state
from genbench.runtime.printable import complain, flat, printable

if TYPE_CHECKING:
    from genbench.report.page.blind import Ballot

__all__ = ["LiveReport", "Server", "is_loopback", "server", "state_of"]

OF_RUN = ("result.json", "run.json", "metrics.jsonl")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
REQUEST_SECONDS, ANSWER_SECONDS = 10.0, 300.0  # for the whole request, and for each part of the answer
VOTE_BYTES = 1024  # of a vote as a form sends it; one has about 40
BLIND = ("/vote", "/votes")
CLIENTS = 64  # served at once, each by a thread of its own; more connections are closed at once


def state_of(runs_dir: Path) -> str:
    """A hash of the sizes and times of all result files below a directory: another one when a run goes on.

    Watched are results, run records, logs and later evaluations; reading them takes no part of their content.
    """
    facts = []
    for folder, subfolders, files in os.walk(runs_dir):
        if not {*OF_RUN}.isdisjoint(files):  # evaluations may lie above runs, by --out
            subfolders.clear()  # a run holds no runs
        watched = [Path(folder, name) for name in (*OF_RUN, "evaluations.jsonl") if name in files]
        facts += [(str(path), str(file_state(path))) for path in watched]
    return f"{hash(tuple(sorted(facts))) & 0xFFFFFFFFFFFF:x}"


class LiveReport:
    """The page of a directory, for `server`, which may ask for it in several threads at once.

    write: state -> page, called one at a time, and only when a run below the directory has changed.
    """

    def __init__(self, runs_dir: Path, write: Callable[[str], str]) -> None:
        self.runs_dir, self.write = runs_dir, write
        self.lock, self.last, self.text = Lock(), "", b""

    def page(self) -> bytes:
        """The page as it is now. Raises OSError or ValueError where the runs cannot be compared."""
        with self.lock:
            state = state_of(self.runs_dir)
            if state != self.last:
                self.text, self.last = self.write(state).encode(), state
            return self.text


class Request(io.RawIOBase):
    """The bytes that a client sends within some seconds; later reading raises TimeoutError.

    A timeout of the socket alone would start again with each byte: a client could hold its thread forever.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.connection, self.end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (whatever holds bytes)
        self.connection.settimeout(max(self.end - time.monotonic(), 1e-3))
        return self.connection.recv_into(buffer)


class Server(ThreadingHTTPServer):
    """A server to a bounded number of clients at once that prints nothing where one closes its connection."""

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


def server(
    live: LiveReport,
    host: str,
    port: int,
    *,
    request_seconds: float = REQUEST_SECONDS,
    ballot: "Ballot | None" = None,
) -> Server:
    """Return a server of two paths: / is the page, /state its state. Port 0 takes a free one.

    ballot: adds /vote, which shows a pair and takes votes on it, and /votes, the table of strengths. A vote
    must name a pair that was shown, by its random key, which no page of another site can know.

    On a loopback address it answers only requests to such a host, so that no page of another site can read it
    under a name of its own (DNS rebinding). A client that takes longer than request_seconds is disconnected.
    """
    pages: dict[str, Callable[[], bytes]] = {
        "/": live.page,
        "/state": lambda: state_of(live.runs_dir).encode(),
    }
    if ballot is not None:
        pages |= dict(zip(BLIND, (ballot.page, ballot.results), strict=True))

    class Handler(BaseHTTPRequestHandler):
        """One request; nothing is logged, and no file is named by it."""

        # The terminal belongs to the user.
        log_message = staticmethod(lambda *_: None)  # type: ignore[assignment]  # any arguments are dropped

        def setup(self) -> None:
            super().setup()
            self.rfile = io.BufferedReader(Request(self.connection, request_seconds))

        def do_GET(self) -> None:
            self.connection.settimeout(ANSWER_SECONDS)
            content = pages.get(self.path)
            if self.is_foreign():
                return self.answer(403, b"genbench serve answers requests to localhost only\n")
            if content is None:
                return self.answer(404, f"Only {' and '.join(pages)} exist\n".encode())
            try:
                body = content()
            except (OSError, ValueError) as error:  # runs may be moved away while they are read
                return self.answer(500, self.words(error))
            return self.answer(200, body, "text/plain" if self.path == "/state" else "text/html")

        def do_POST(self) -> None:
            self.connection.settimeout(ANSWER_SECONDS)
            length = self.headers.get("Content-Length", "")
            if self.is_foreign():
                return self.answer(403, b"genbench serve answers requests to localhost only\n")
            if ballot is None or self.path != "/vote":
                return self.answer(404, b"Nothing is sent there\n")
            if not (length.isascii() and length.isdigit() and len(length) < 9 and int(length) <= VOTE_BYTES):
                return self.answer(413, f"A vote has at most {VOTE_BYTES:,} bytes\n".encode())
            body = self.rfile.read(int(length)).decode("latin-1")
            try:
                sent = parse_qs(body, max_num_fields=8)
                is_counted = ballot.vote(*(sent.get(name, [""])[0] for name in ("pair", "chosen")))
            except (OSError, ValueError) as error:  # a full disk; a pipe in the place of the file
                return self.answer(500, self.words(error))
            if not is_counted:
                return self.answer(409, b"This pair has its vote, or is too old: open /vote for another\n")
            self.send_response(303)
            self.send_header("Location", "/vote")
            self.send_header("Content-Length", "0")
            return self.end_headers()

        def is_foreign(self) -> bool:
            """True for a request to another host's name, or from a page of another site, on loopback."""
            sent = self.headers.get("Host", "")
            name, colon, number = sent.rpartition(":")
            asked = name if colon and number.isdigit() else name + colon + number
            origin = self.headers.get("Origin", f"http://{sent}")
            is_other = self.command == "POST" and origin != f"http://{sent}"
            return made.is_local and (asked not in (*LOOPBACK, host) or is_other)

        def words(self, error: Exception) -> bytes:
            """Return the text of an error. One of a vote would name entrants: it goes to the terminal."""
            if self.path not in BLIND:
                return printable(f"{error}\n").encode()
            complain(flat(str(error)))
            return b"This does not work; the terminal of genbench serve says why\n"

        def answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
            """Send a body with its status, kind and length; browsers neither store nor guess it."""
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
    """True for an address that only this machine can reach."""
    with suppress(ValueError):  # a name
        return ip_address(host).is_loopback
    return host == "localhost"
