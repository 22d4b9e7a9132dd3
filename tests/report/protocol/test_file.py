"""Protocol files: what is read, what is refused with which words, and the commands that follow from one."""

import copy
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose

from genbench.app.search_path import composing
from genbench.config.option_folders import CONF
from genbench.report.protocol.file import PROTOCOLS, Protocol, names, read_protocol

Rules = dict[str, Any]


@pytest.mark.parametrize("name", names())
def test_a_shipped_protocol_is_read_by_its_name_and_keeps_its_hash_through_its_record(name: str) -> None:
    found = read_protocol(name)
    assert found.name == name
    assert Protocol.of(found.to_record()) == found
    assert Protocol.of(found.to_record()).sha256 == found.sha256


@pytest.mark.parametrize("name", names())
def test_the_training_of_a_shipped_protocol_composes_with_its_budget_and_its_settings(name: str) -> None:
    found = read_protocol(name)
    words = shlex.split(found.commands(name)[0])
    words = [word.replace("0,1,2", "0") for word in words if "=" in word and not word.startswith("OMP_")]
    with composing():
        cfg = compose("config", overrides=words)
    limits = {unit: cfg.budget[unit] for unit in ("images", "seconds", "flops")}
    assert limits == dict.fromkeys(limits) | {found.unit: found.budget[found.unit]}
    assert (CONF / "data" / f"{found.data['name']}.yaml").exists()
    for key, value in found.settings.items():
        section, _, leaf = key.partition(".")
        assert cfg[section][leaf] == value


def test_comments_and_layout_of_a_file_do_not_change_its_hash(rules: Rules, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "b.yaml").write_text("# a remark\n" + yaml.safe_dump(rules, default_flow_style=True))
    a, b = (read_protocol(str(tmp_path / name)) for name in ("a.yaml", "b.yaml"))
    assert a.sha256 == b.sha256
    changed = Protocol.of(rules | {"seeds": [0, 1, 3]})
    assert changed.sha256 != a.sha256


CHANGES = [
    ({"extra": 1}, "the key 'extra'; legal are name, version"),
    ({"name": "../../etc"}, "name is '../../etc'"),
    ({"version": True}, "version of the protocol is True; it must be a whole number"),
    ({"version": -1}, "version is -1"),
    ({"data": {"name": "digits", "shape": [1, 8, 8], "key": "12"}}, "data.key is '12'; take data_key"),
    ({"data": {"name": "digits", "shape": [8, 8], "key": "7" * 64}}, "data.shape is"),
    ({"budget": {"seconds": 60}}, "needs budget.device"),
    ({"budget": {"seconds": 60, "images": 5, "device": "cpu"}}, "give one of images, seconds, flops"),
    ({"budget": {"images": float("inf")}}, "must be a number above 0"),
    ({"budget": {"images": 5, "hours": 1}}, "the key 'hours'"),
    ({"budget": {"images": 0.5}}, "budget.images is 0.5; it must be a whole number above 0"),
    ({"scores": []}, "name one to"),
    ({"scores": ["fid"]}, "does not state its protocol"),
    ({"scores": ["fid[f,n=9,ref=test,ema]"]}, "not of ref=test"),
    ({"scores": ["fid[f,n=9,ref=train,best]"]}, "that end in ema]"),
    ({"scores": ["sharpness[f,n=9,ref=train,ema]"]}, "kinds to rank by are fid"),
    ({"scores": ["mine[f,n=9,ref=train,ema]"]}, "kinds to rank by are fid"),
    ({"seeds": [0]}, "list two different ones or more"),
    ({"seeds": [0, 0]}, "list two different ones or more"),
    ({"seeds": [False, True]}, "list two different ones or more"),
    ({"settings": {"metrics.samples": [1]}}, "must be one number or word"),
    ({"settings": {"metrics.samples": "$(reboot)"}}, "must be one number or word"),
    ({"settings": {"a;b": 1}}, "settings have the key 'a;b'"),
    ({"settings": {"budget.images": 1}}, "settings have the key 'budget.images'"),
    ({"settings": {"model._target_": "os.abort"}}, "settings have the key 'model._target_'"),
    ({"settings": {"hydra.run.dir": "x"}}, "settings have the key 'hydra.run.dir'"),
    ({"settings": {"metrics.samples": 10**400}}, "must be one number or word"),
    ({"settings": {"metrics.samples": float("nan")}}, "must be one number or word"),
    ({"excluded": ["gans"]}, "choose from pretrained, guided, conditional"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_a_wrong_protocol_is_refused_with_the_value_and_what_is_legal(
    rules: Rules, change: Rules, message: str
) -> None:
    with pytest.raises(ValueError, match=r".*") as raised:
        Protocol.of(copy.deepcopy(rules) | change)
    assert message in str(raised.value)


BOMB = b"scores:\n  - &a0 [x]\n" + b"".join(
    b"  - &a%d [%s]\n" % (n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 20)
)
"""Lists of lists that stand for 9^19 words."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is not readable YAML"),
        (b"!!python/object/apply:os.system ['true']", "is not readable YAML"),
        (b"- 1", "must have the keys name"),
        (b"x: " + b"a" * 70_000, "more than"),
        (b"", "holds None"),
        (b"name: a\nseeds: [0, 1]\nseeds: [0, 1, 2]", "the key 'seeds' twice"),
        (BOMB, "it has a reference (*)"),
    ],
)
def test_a_strangers_file_executes_nothing_and_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r".*") as raised:
        read_protocol(str(path))
    assert str(path) in str(raised.value)
    assert message in str(raised.value)


def test_the_protocols_of_the_page_can_be_read(tmp_path: Path) -> None:
    page = (PROTOCOLS.parent / "docs" / "leaderboard.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    found = [read_protocol(str(written(tmp_path / "mine.yaml", block))) for block in blocks]
    assert [rules.budget for rules in found] == [
        {"images": 20000},
        {"seconds": 30, "device": "cpu (1 thread)"},
    ]


def written(path: Path, text: str) -> Path:
    """Write a file anew and return its path."""
    path.write_text(text)
    return path


@pytest.mark.parametrize("asked", ["nonsense", "../conf/config", "missing.yaml", ""])
def test_an_unknown_name_lists_the_shipped_protocols(asked: str) -> None:
    with pytest.raises(ValueError, match=r"the protocol is .*digits_60s"):
        read_protocol(asked)


def test_commands_quote_what_a_strangers_protocol_says(rules: Rules) -> None:
    rules["settings"] = {"metrics.samples": 359, "trainer.keep": None, "conditional": False, "optim.x": "Ab"}
    training, submit, board = Protocol.of(rules).commands("a b;c.yaml")
    assert training.startswith("OMP_NUM_THREADS=1 ")
    words = ("budget.seconds=60", "trainer.keep=null", "conditional=false", "seed=0,1,2", "device=cpu")
    words += ("optim.x=Ab",)
    assert [word for word in words if word not in shlex.split(training)] == []
    assert "'a b;c.yaml'" in submit
    assert board.startswith("genbench leaderboard ")


def test_protocols_lie_beside_the_options() -> None:
    assert PROTOCOLS.parent == CONF.parent
    assert {"digits_60s", "fashion_mnist_600s"} <= set(names())
