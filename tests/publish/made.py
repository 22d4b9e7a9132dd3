"""Records that tests of the benchmark make up."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.publish.plan import PARTS
from benchmarks.publish.planned import TOY
from benchmarks.publish.winners import Measure


def records(**values: Sequence[float]) -> list[dict[str, Any]]:
    """Records of models with one number each, of several seeds."""
    return [{"result": {"choices": {"model": name}, "x": x}} for name, found in values.items() for x in found]


LOWEST = Measure("error", -1, lambda record: record["result"]["x"])


KEYS = [part.key for part in PARTS]


SMALL = replace(TOY, digits=0.2, fashion=0.2, models=("gan",))


def copied(name: str, shares: Sequence[float]) -> list[dict[str, Any]]:
    """Records of a model with shares of samples that are no copies, where 0.6 of held-out images are none."""
    contents = [json.dumps({"n": 359, "authentic": x, "held_out_authentic": 0.6}) for x in shares]
    return [{**records(**{name: [1]})[0], "files": {"copies.json": content}} for content in contents]
