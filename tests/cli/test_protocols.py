"""The verbs of protocols: from checks of runs to a page, with exit codes, and nothing written on a fault."""

from pathlib import Path

import yaml

from tests.conftest import Command
from tests.report.protocol.conftest import RULES, Train, train

__all__ = ["train"]


def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(RULES))
    return path


def test_runs_that_pass_become_a_submission_and_a_page(verb: Command, train: Train, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        train(seed=seed)
    rules, out, page = rules_file(tmp_path), tmp_path / "subs" / "me.json", tmp_path / "board.html"
    done = verb("submit", tmp_path / "runs", "--protocol", rules)
    assert (done.returncode, done.stderr) == (0, "")
    assert "All checks of toy pass" in done.stdout
    assert verb("submit", tmp_path / "runs", "--protocol", rules, "--out", out).returncode == 0
    done = verb("leaderboard", out.parent, "--out", page)
    assert (done.returncode, done.stderr) == (0, "")
    assert "<h2" in page.read_text()


def test_a_failed_check_ends_with_code_2_the_remedy_and_no_file(
    verb: Command, train: Train, tmp_path: Path
) -> None:
    train(seed=0)
    out = tmp_path / "me.json"
    done = verb("submit", tmp_path / "runs", "--protocol", rules_file(tmp_path), "--out", out)
    assert done.returncode == 2
    assert "train with seed=0,1,2" in " ".join(done.stdout.split())
    assert done.stderr.startswith("genbench: no submission to toy: 1 failed checks")
    assert not out.exists()


def test_wrong_words_are_refused_in_one_line(verb: Command, tmp_path: Path) -> None:
    for words, message in (
        (("submit", tmp_path, "--protocol", "nonsense"), "choose from cifar10"),
        (("submit", tmp_path, "--protocol", "digits_60s"), "there is no run below"),
        (("submit", tmp_path, "--protocol", "digits_60s", "--out", tmp_path / "a.txt"), "must end in .json"),
        (("protocol", "nonsense"), "choose from cifar10"),
        (("leaderboard", tmp_path), "no *.json in"),
    ):
        done = verb(*words)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_protocols_are_listed_and_one_is_printed_with_its_commands(verb: Command) -> None:
    assert "digits_60s: digits, 60 seconds on cpu (1 thread)" in verb("protocol").stdout
    shown = verb("protocol", "digits_60s").stdout
    assert "budget.seconds=60" in shown
    assert "genbench submit runs/digits_60s --protocol digits_60s" in shown
