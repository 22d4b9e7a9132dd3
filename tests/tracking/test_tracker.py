from pathlib import Path

import pytest

from genbench.tracking import JsonLines, Trackers


class Broken(JsonLines):
    def state(self) -> dict:
        return {"other": 1}

    def finish(self, status: str) -> None:
        raise OSError("disk full")


def test_several_trackers_hear_the_same_and_keep_their_states(tmp_path: Path) -> None:
    both = Trackers([JsonLines(tmp_path / "a"), Broken(tmp_path / "b")])
    both.log({"loss": 1.0}, images_seen=1)
    both.image("x", tmp_path / "x.png", images_seen=1)
    both.summary({"fid": 2.0})
    assert (tmp_path / "a").read_text().count("\n") == 3
    assert (tmp_path / "b").read_text().count("\n") == 3
    assert both.state() == {"position": (tmp_path / "a").stat().st_size, "other": 1}


class Ended(JsonLines):
    ended = False

    def finish(self, status: str) -> None:
        self.ended = True


def test_one_tracker_that_fails_to_finish_does_not_keep_the_others_open(tmp_path: Path) -> None:
    first, last = Ended(tmp_path / "a"), Ended(tmp_path / "c")
    with pytest.raises(OSError, match="disk full"):
        Trackers([first, Broken(tmp_path / "b"), last]).finish("done")
    assert first.ended
    assert last.ended
