import base64
import http.client
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from genbench.report.page.blind import Ballot
from genbench.report.page.serve import LiveReport, server
from genbench.report.votes import read_votes

LEVELS = {"dark-model": 30, "bright-model": 200, "noise-model": None}


def images(level: int | None) -> Callable[[], np.ndarray]:
    """Sixteen images of one level, or of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)
    return lambda: noise if level is None else np.full((16, 8, 8, 3), level, np.uint8)


def ballot(path: Path, seed: int = 0) -> Ballot:
    return Ballot({name: images(x) for name, x in LEVELS.items()}, path / "v.jsonl", data="d", seed=seed)


def shown(page: bytes) -> tuple[str, list[bytes]]:
    """The key of the pair of a page, and its two pictures as files."""
    (key,) = re.findall(r'name="pair" value="([^"]+)"', page.decode())
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", page.decode())
    return key, [base64.b64decode(picture) for picture in pictures]


def kinds(page: bytes) -> list[str]:
    """Return the entrants that a page shows, by their pixels."""
    pixels = [np.asarray(Image.open(io.BytesIO(file)))[4:12, 4:12] for file in shown(page)[1]]
    levels = [int(x[0, 0, 0]) if (x == x[0, 0]).all() else None for x in pixels]
    return [name for level in levels for name, of in LEVELS.items() if of == level]


def test_nothing_but_the_pixels_tells_one_entrant_from_the_other(tmp_path: Path) -> None:
    ballots = ballot(tmp_path)
    pages = [ballots.page() for _ in range(6)]
    sizes = set()
    for page in pages:
        _, pictures = shown(page)
        sizes |= {(len(picture), Image.open(io.BytesIO(picture)).size) for picture in pictures}
        assert not any(name.encode() in page for name in (*LEVELS, str(tmp_path), "d.jsonl"))
    assert len(sizes) == 1
    assert len({len(page) for page in pages}) == 1


def test_each_round_shows_every_pair_once_in_an_order_and_on_sides_of_the_seed(tmp_path: Path) -> None:
    first, again, other = (ballot(tmp_path, seed) for seed in (0, 0, 1))
    of_first = [kinds(first.page()) for _ in range(30)]
    assert of_first == [kinds(again.page()) for _ in range(30)]
    assert of_first != [kinds(other.page()) for _ in range(30)]
    for start in range(0, 30, 3):
        assert len({frozenset(pair) for pair in of_first[start : start + 3]}) == 3
    assert 3 < sum(pair == sorted(pair) for pair in of_first) < 27


def test_a_pair_has_one_vote_for_what_stood_at_the_side(tmp_path: Path) -> None:
    ballots = ballot(tmp_path)
    page = ballots.page()
    key, (left, right) = shown(page)[0], kinds(page)
    assert not ballots.vote(key, "up")
    assert not ballots.vote("x", "left")
    assert ballots.vote(key, "right")
    assert not ballots.vote(key, "right")
    votes, _ = read_votes(tmp_path / "v.jsonl")
    assert votes == [(right, left, "right", "d")]
    with pytest.raises(ValueError, match="votes over another data set"):
        Ballot(ballots.entrants, tmp_path / "v.jsonl", data="e")


def test_old_pairs_are_forgotten(tmp_path: Path) -> None:
    ballots = ballot(tmp_path)
    key, _ = shown(ballots.page())
    for _ in range(64):
        ballots.page()
    assert not ballots.vote(key, "left")


def test_too_few_entrants_or_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 entrant can be shown"):
        Ballot({"a": images(1)}, tmp_path / "v", data="d")
    with pytest.raises(ValueError, match="needs four images"):
        Ballot({"a": images(1), "b": lambda: images(2)()[:3]}, tmp_path / "v", data="d")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    live = LiveReport(tmp_path, lambda state: "report")
    with server(live, "127.0.0.1", 0, ballot=ballot(tmp_path)) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(
    listening: ThreadingHTTPServer, path: str, body: str | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", listening.server_port, timeout=30)
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_vote_by_the_form_is_in_the_table(listening: ThreadingHTTPServer, tmp_path: Path) -> None:
    _, page = ask(listening, "/vote")
    vote = urlencode({"pair": shown(page)[0], "chosen": "left"})
    own = f"http://127.0.0.1:{listening.server_port}"
    assert ask(listening, "/vote", vote, Origin=own)[0] == 303
    assert ask(listening, "/vote", vote)[0] == 409
    (line,) = (tmp_path / "v.jsonl").read_text().splitlines()
    assert json.loads(line)["chosen"] == kinds(page)[0]
    status, table = ask(listening, "/votes")
    assert status == 200
    assert b"unbounded: always chosen" in table
    assert all(name.encode() in table for name in LEVELS)


def test_other_sites_and_large_or_broken_requests_leave_no_vote(
    listening: ThreadingHTTPServer, tmp_path: Path
) -> None:
    key, _ = shown(ask(listening, "/vote")[1])
    vote = urlencode({"pair": key, "chosen": "left"})
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{listening.server_port}"):
        assert ask(listening, "/vote", vote, Origin=origin)[0] == 403
    assert ask(listening, "/vote", vote, Host="evil.example")[0] == 403
    assert ask(listening, "/", vote)[0] == 404
    assert ask(listening, "/vote", vote + "&x=" + "y" * 2000)[0] == 413
    assert ask(listening, "/vote", "&".join("abcdefghijk") + "=&" + vote)[0] in (409, 500, 303)
    assert ask(listening, "/vote", "")[0] == 409
    assert not (tmp_path / "v.jsonl").exists()


def test_an_error_behind_a_vote_is_said_on_the_terminal_alone(
    listening: ThreadingHTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _ = shown(ask(listening, "/vote")[1])
    (tmp_path / "v.jsonl").mkdir()
    status, text = ask(listening, "/vote", urlencode({"pair": key, "chosen": "left"}))
    assert status == 500
    assert str(tmp_path).encode() not in text
    assert "is a folder, not a regular file" in capsys.readouterr().err
