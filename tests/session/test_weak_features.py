"""A weak feature classifier is reported once, before a model is trained where it is known by then."""

import json
from pathlib import Path

import pytest

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown
from genbench.report.page.write import html
from genbench.session import session
from tests.conftest import Command
from tests.toys import TINY

WORDS = (*TINY, "scores=[fid]", "metrics.likelihood_samples=0", "metrics=classifier")


def test_result_table_and_page_agree_on_a_weak_network_and_the_next_run_is_warned_before_training(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*WORDS, "features.images=64", "features.seed=77", f"runs_dir={tmp_path}")
    first = main(*words)
    assert first.returncode == 0, first.stderr
    assert first.stderr.count("are unreliable: their classifier finds the class of") == 1
    (path,) = tmp_path.rglob("result.json")
    ((protocol, network),) = json.loads(path.read_text())["feature_networks"].items()
    shown = f"accuracy {100 * network['accuracy']:.1f} %"
    found = compare(tmp_path, Query())
    for text in (" ".join(first.stdout.split()), markdown(found), html(found, title="t")):
        assert shown in text
        assert "† weak features" in text or "†: weak features" in text
        assert protocol in text

    def train(*_: object, **__: object) -> None:
        raise FloatingPointError("training begins")

    monkeypatch.setattr(session, "train", train)
    second = main(*words, "seed=1")
    assert second.returncode == 1
    assert 0 < second.stderr.index("are unreliable:") < second.stderr.index("training begins")


def test_a_good_network_is_stated_without_a_warning(main: Command, tmp_path: Path) -> None:
    words = [word for word in WORDS if word != "metrics=classifier"]
    done = main(*words, f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "weak" not in done.stderr + done.stdout
    assert "accuracy 99.4 % [98.0, 99.8] on 359 held-out images" in " ".join(done.stdout.split())
