"""A protocol file: the data, the budget, the scores and the seeds that runs of a leaderboard share."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from genbench.config.option_folders import CONF, TRAIN
from genbench.records.files import checksum
from genbench.records.metric_kinds import KINDS
from genbench.records.metric_name import MetricName
from genbench.records.texts import shown
from genbench.records.untrusted_files import read_regular

__all__ = ["BITS", "EXCLUDED", "PROTOCOLS", "Protocol", "expect", "names", "read_protocol", "written_setting"]

PROTOCOLS = CONF.with_name("protocols")
"""Folder of the protocols that genbench ships: beside conf/ in a checkout and once it is installed."""
BYTES = 64 * 2**10  # of a file; those of today have one kB
UNITS = ("images", "seconds", "flops")
EXCLUDED = ("pretrained", "guided", "conditional")
"""Kinds of models that a protocol may exclude."""
BITS = "bits_per_dim"
"""The likelihood as a score, on all test images."""
MOST = 50  # scores, seeds or settings
WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
SETTING = re.compile(r"[a-z]\w{0,39}(\.\w{1,40}){0,5}")
HASH = re.compile(r"[0-9a-f]{64}")
WORDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "keys with values"}


@dataclass(frozen=True)
class Protocol:
    """Rules that runs must share to stand in one leaderboard; the model and all its groups are free.

    name, version: of the protocol. data: `name` of the option data=, `shape` [C, H, W] of its images, `key`,
    the data_key of results. budget: one of images, seconds and flops; with seconds also the `device`, as
    results name it. scores: full metric names, or bits_per_dim; rows are ranked by the first. seeds: that
    each row must have. settings: dotted keys -> values that each run must have. excluded: of `EXCLUDED`.
    """

    name: str
    version: int
    data: Mapping[str, Any]
    budget: Mapping[str, Any]
    scores: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    excluded: tuple[str, ...]

    @classmethod
    def of(cls, found: object) -> "Protocol":
        """Read the content of a protocol. Raises ValueError with the value, what is legal and the remedy."""
        kinds = {"name": str, "version": int, "data": dict, "budget": dict, "scores": list, "seeds": list}
        content = expect(found, kinds | {"settings": dict, "excluded": list}, "the protocol")
        check_name("name", content["name"])
        check_number("version", content["version"])
        check_data(content["data"])
        check_budget(content["budget"])
        check_scores(content["scores"])
        check_seeds(content["seeds"])
        check_settings(content["settings"])
        if unknown := [word for word in content["excluded"] if word not in EXCLUDED]:
            raise ValueError(f"excluded has {shown(unknown[0])}; choose from {', '.join(EXCLUDED)}")
        lists = {name: tuple(content[name]) for name in ("scores", "seeds", "excluded")}
        return cls(**content | lists)

    @property
    def unit(self) -> str:
        """The unit of its budget: images, seconds or flops."""
        return next(unit for unit in UNITS if unit in self.budget)

    @property
    def sha256(self) -> str:
        """The hash of what it says, 64 hex digits; comments and the layout of its file do not count."""
        return checksum(self.to_record())

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data, as a submission holds it and `of` reads it."""
        return {name: list(x) if isinstance(x, tuple) else x for name, x in asdict(self).items()}

    def overrides(self) -> Iterator[str]:
        """Yield the overrides, beside the model, of a sweep whose runs pass: data=digits, seed=0,1,2, ..
        A setting is written as YAML writes it, so that null and true keep their meaning.
        """
        yield f"data={self.data['name']}"
        for unit in UNITS:
            yield f"budget.{unit}={self.budget.get(unit, 'null')}"
        if "device" in self.budget and self.budget["device"].startswith("cpu"):
            yield "device=cpu"
        for key, value in self.settings.items():
            yield f"{key}={written_setting(value)}"
        yield f"seed={','.join(map(str, self.seeds))}"

    def commands(self, asked: str) -> list[str]:
        """Return the commands from nothing to a page: training, submission, leaderboard. asked: the name or
        the path by which the user gave the protocol.
        """
        words = ["-m", "model=ddpm", *self.overrides(), f"name={self.name}"]
        training = f"{TRAIN} {shlex.join(words)}"
        if str(self.budget.get("device")) == "cpu (1 thread)":
            training = f"OMP_NUM_THREADS=1 {training}"
        submit = ["genbench", "submit", f"runs/{self.name}", "--protocol", asked]
        out = f"submissions/{self.name}_mine.json"
        return [
            training,
            shlex.join([*submit, "--out", out]),
            shlex.join(["genbench", "leaderboard", "submissions", "--out", "leaderboard.html"]),
        ]


def names() -> list[str]:
    """Return the names of the protocols that genbench ships, sorted; `read_protocol` takes each of them."""
    return sorted(path.stem for path in PROTOCOLS.glob("*.yaml"))


def read_protocol(asked: str) -> Protocol:
    """Read a protocol by the name of a shipped one, or by the path of a file (ending in .yaml).

    Raises ValueError, with the file and the remedy, where there is none or it is damaged.
    """
    is_file = asked.endswith((".yaml", ".yml"))
    if not is_file and asked not in names():
        known = ", ".join(names())
        raise ValueError(f"the protocol is {asked!r}; choose from {known}, or give the path of a .yaml file")
    path = Path(asked) if is_file else PROTOCOLS / f"{asked}.yaml"
    if not path.exists():
        raise ValueError(
            f"the protocol is {asked!r}, and there is no such file; shipped: {', '.join(names())}"
        )
    content = read_regular(path, at_most=BYTES)
    try:
        check_nodes(content)
        found = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not readable YAML: {' '.join(str(error).split())[:300]}") from error
    try:
        return Protocol.of(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_nodes(content: bytes) -> None:
    """Raise ValueError on YAML with references (*a), since nested ones stand for billions of values, and on a
    key that is there twice, of which YAML would take the last one.
    """
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(content)):
        raise ValueError("it has a reference (*): write the value itself")
    nodes = [yaml.compose(content, yaml.SafeLoader)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            keys = Counter(str(key.value) for key, _ in node.value)
            if twice := [key for key, count in keys.items() if count > 1]:
                raise ValueError(f"it has the key {shown(twice[0])} twice: remove one")
            nodes += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value


def expect(found: object, kinds: Mapping[str, type], where: str) -> dict[str, Any]:
    """Return an object that has exactly the keys of `kinds`, with values of their types; bool is no number.

    where: its name for messages. Raises ValueError where it is anything else.
    """
    if not isinstance(found, dict):
        raise ValueError(f"{where} holds {shown(found)}; it must have the keys {', '.join(kinds)}")
    if unknown := [key for key in found if key not in kinds]:
        raise ValueError(f"{where} has the key {shown(unknown[0])}; legal are {', '.join(kinds)}")
    for key, kind in kinds.items():
        if key not in found:
            raise ValueError(f"{where} lacks {key}: add it, {WORDS[kind]}")
        value = found[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{key} of {where} is {shown(value)}; it must be {WORDS[kind]}")
    return dict(found)


def check_name(key: str, word: object) -> None:
    """Raise ValueError unless a value is a name of small letters, digits and _ . -"""
    if not isinstance(word, str) or not WORD.fullmatch(word):
        raise ValueError(f"{key} is {shown(word)}; it must be up to 60 small letters, digits and _ . -")


def check_number(key: str, value: object) -> None:
    """Raise ValueError unless a value is a finite number above 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= 1e30:  # type: ignore[operator]
        raise ValueError(f"{key} is {shown(value)}; it must be a number above 0, such as 60 or 1.0e+15")


def check_data(data: Mapping[str, Any]) -> None:
    """Raise ValueError unless `data` has a name, a shape of three sizes and a key of 64 hex digits."""
    found = expect(data, {"name": str, "shape": list, "key": str}, "data")
    check_name("data.name", found["name"])
    sizes = found["shape"]
    if len(sizes) != 3 or not all(type(size) is int and 0 < size < 100_000 for size in sizes):
        raise ValueError(f"data.shape is {shown(sizes)}; it must be [channels, height, width]")
    if not HASH.fullmatch(found["key"]):
        raise ValueError(f"data.key is {shown(found['key'])}; take data_key of a run's result.json")


def check_budget(budget: Mapping[str, Any]) -> None:
    """Raise ValueError unless `budget` has one unit, and with seconds the device they were spent on."""
    given = [unit for unit in UNITS if unit in budget]
    if len(given) != 1:
        raise ValueError(f"budget is {shown(dict(budget))}; give one of {', '.join(UNITS)}")
    if unknown := set(budget) - {*given, "device"}:
        raise ValueError(f"budget has the key {shown(min(map(str, unknown)))}; legal are {given[0]}, device")
    check_number(f"budget.{given[0]}", budget[given[0]])
    if given == ["images"] and type(budget["images"]) is not int:
        raise ValueError(f"budget.images is {shown(budget['images'])}; it must be a whole number above 0")
    device = budget.get("device")
    if device is None and given == ["seconds"]:
        raise ValueError("budget.seconds needs budget.device, as results name it, such as cpu (1 thread)")
    if "device" in budget and not (isinstance(device, str) and device.isprintable() and len(device) <= 100):
        raise ValueError(f"budget.device is {shown(device)}; it must be a name, such as cpu (1 thread)")


def check_scores(scores: list[Any]) -> None:
    """Raise ValueError unless scores are names of final weights that rows can be ranked by, the first at
    least; numbers against test images would have been chosen by them.
    """
    if not 0 < len(scores) <= MOST or len(set(map(str, scores))) < len(scores):
        raise ValueError(f"scores are {shown(scores)}; name one to {MOST} different ones, the first ranks")
    for score in scores:
        if score == BITS:
            continue
        if not isinstance(score, str) or len(score) > 200 or not score.isprintable():
            raise ValueError(f"scores have {shown(score)}; take names of metrics in a run's result.json")
        name = MetricName.parse(score)
        if name.of != "ema" or name.ref == "test" or name.spread or name.n is None:
            raise ValueError(
                f"scores have {score!r}; take values with n=.., not of ref=test, that end in ema]"
            )
        if name.kind not in KINDS or (score == scores[0] and not KINDS[name.kind].better):
            ranking = [kind.key for kind in KINDS.values() if kind.better]
            raise ValueError(f"scores have {score!r}; kinds to rank by are {', '.join(ranking)}")


def check_seeds(seeds: list[Any]) -> None:
    """Raise ValueError unless there are two seeds or more, without which no lead can be tested."""
    is_seed = [type(seed) is int and 0 <= seed < 2**31 for seed in seeds]
    if not 2 <= len(seeds) <= MOST or not all(is_seed) or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {shown(seeds)}; list two different ones or more, such as [0, 1, 2]")


def written_setting(value: str | float | None) -> str:
    """Return a value of `settings` as the command line takes it: null, true, 2000, word."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise ValueError unless settings are dotted keys with single values."""
    if len(settings) > MOST:
        raise ValueError(f"settings have {len(settings)} keys; at most {MOST} are read")
    for key, value in settings.items():
        if (
            not isinstance(key, str)
            or not SETTING.fullmatch(key)
            or key.partition(".")[0] in ("data", "budget", "hydra")
            or "._" in key  # such as _target_, which names code
        ):
            raise ValueError(f"settings have the key {shown(key)}; write them as metrics.samples: 2000")
        is_text = isinstance(value, str) and re.fullmatch(r"[\w.+-]{1,60}", value)
        is_number = isinstance(value, int | float) and abs(value) < 2**63  # not so of nan
        if not (value is None or is_text or is_number):
            raise ValueError(f"settings.{key} is {shown(value)}; it must be one number or word")
