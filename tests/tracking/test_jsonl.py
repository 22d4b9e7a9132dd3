import json
from pathlib import Path

import pytest

from genbench.tracking import JsonLines


def events(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def lines(tmp_path: Path) -> JsonLines:
    return JsonLines(tmp_path / "run" / "metrics.jsonl")


def test_each_event_is_one_line_that_is_on_the_disk_at_once(lines: JsonLines) -> None:
    lines.log({"loss": 0.5, "lr": 1e-3}, images_seen=64)
    (event,) = events(lines.path)
    assert event | {"images_seen": 64, "loss": 0.5, "lr": 1e-3} == event
    assert event["time"] > 0
    lines.summary({"fid": 3.0, "bound": None})
    assert events(lines.path)[1]["summary"] == {"fid": 3.0, "bound": None}


def test_values_that_are_not_finite_are_words_in_valid_json(lines: JsonLines) -> None:
    lines.log({"a": float("nan"), "b": float("inf"), "c": -float("inf")}, images_seen=0)
    text = lines.path.read_text()
    event = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert (event["a"], event["b"], event["c"]) == ("nan", "inf", "-inf")


def test_a_name_with_a_line_break_stays_on_its_line(lines: JsonLines) -> None:
    lines.log({"a\nb|\u2028": 1.0}, images_seen=0)
    assert len(lines.path.read_bytes().splitlines()) == 1
    assert events(lines.path)[0]["a\nb|\u2028"] == 1.0


def test_a_picture_is_logged_by_its_path_in_the_run(lines: JsonLines) -> None:
    lines.image("samples", lines.path.parent / "samples" / "1.png", images_seen=3)
    (event,) = events(lines.path)
    assert (event["image"], event["path"], event["images_seen"]) == ("samples", "samples/1.png", 3)


def test_truncation_drops_the_events_after_the_checkpoint_and_no_others(lines: JsonLines) -> None:
    lines.log({"loss": 1.0}, images_seen=1)
    position = lines.position()
    assert position == lines.path.stat().st_size
    lines.log({"loss": 2.0}, images_seen=2)
    with lines.path.open("ab") as file:
        file.write(b'{"images_seen": 3, "lo')  # a process killed in the middle of a line
    lines.finish("failed")
    resumed = JsonLines(lines.path)
    resumed.truncate(position)
    resumed.log({"loss": 2.5}, images_seen=2)
    assert [(event["images_seen"], event["loss"]) for event in events(lines.path)] == [(1, 1.0), (2, 2.5)]


def test_a_file_shorter_than_the_checkpoint_says_is_refused(lines: JsonLines) -> None:
    with pytest.raises(ValueError, match=r"0 bytes, fewer than the 10.*rerun=true"):
        lines.truncate(10)


def test_a_value_may_not_take_the_name_of_the_axis(lines: JsonLines) -> None:
    with pytest.raises(ValueError, match="images_seen"):
        lines.log({"images_seen": 1.0}, images_seen=0)


def test_finishing_twice_does_nothing(lines: JsonLines) -> None:
    lines.finish("done")
    lines.finish("done")
