import json
from pathlib import Path

import pytest

from genbench.report.votes import REAL, Vote, append_vote, read_votes, vote_table


def test_votes_come_back_in_order_behind_what_the_file_held(tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text("somebody's note")  # without the end of its line
    votes = [Vote("a", "b", "left", "digits"), Vote("b", REAL, "right", "digits")]
    for vote in votes:
        append_vote(vote, file)
    assert read_votes(file) == (votes, [1])
    assert file.read_text().startswith("somebody's note\n")


def test_lines_that_are_no_votes_are_left_out_and_named(tmp_path: Path) -> None:
    good = {"chosen": "a", "other": "b", "side": "left", "data": "x"}
    bad = [good | change for change in ({"other": "a"}, {"side": "up"}, {"chosen": 1}, {"chosen": ""})]
    bad += [good | {"other": "b" * 2000}, {"chosen": "a"}]
    file = tmp_path / "votes.jsonl"
    file.write_text("\n".join([*map(json.dumps, [good, *bad]), "[1]", "{", "", json.dumps(good)]))
    votes, damaged = read_votes(file)
    assert len(votes) == 2
    assert damaged == [*range(2, 10)]
    assert any("8 lines of the file left out" in note for note in vote_table(votes, damaged).notes)


def test_the_table_has_the_best_first_and_counts_votes_against_real_images() -> None:
    votes = 3 * [Vote(REAL, "a", "left", "x")] + [Vote("a", REAL, "right", "x")]
    votes += 2 * [Vote("a", "b\n\x1b[2J", "left", "x")]
    table = vote_table(votes, others=["new"])
    assert [row[0] for row in table.rows] == [REAL, "a", "b\\n\\x1b[2J", "new"]
    assert table.rows[0][1:] == ["+0.55", "-0.58 to +1.68", "3 of 4", ""]
    assert table.rows[1][3:] == ["3 of 6", "1 of 4"]
    assert table.rows[2][1:] == ["unbounded: never chosen", "", "0 of 2", "n/a"]
    assert table.rows[3][1:] == ["n/a", "", "n/a", "n/a"]
    assert "6 votes, 5 for the grid at the left" in table.notes[0]


def test_groups_that_no_vote_connects_are_said_not_to_compare() -> None:
    votes = [Vote(*pair, "left", "x") for pair in (("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"))]
    notes = " ".join(vote_table(votes).notes)
    assert "Strengths compare only within a group, and add up to 0 there: a, b; c, d." in notes
    assert "No vote connects these groups, which do not compare: a, b; c, d." in notes


def test_votes_that_make_no_table_are_refused() -> None:
    with pytest.raises(ValueError, match="several data sets"):
        vote_table([Vote("a", "b", "left", "x"), Vote("a", "b", "left", "y")])
    with pytest.raises(ValueError, match="201 entrants; a table holds at most 200"):
        vote_table([Vote("a", str(i), "left", "x") for i in range(200)])
