"""Count of the learning rates that each row of a claim was trained at, as its presets and ladders say."""

import re

import yaml

from benchmarks.claim_list import LR, Claim
from genbench.config.option_folders import CONF

__all__ = ["ladder", "rates_tried"]

PRESET = re.compile(r"sweep=(\w+)")


def rates_tried(claim: Claim, row: str) -> str:
    """Return the number of learning rates that a row was trained at, in words: "1" where its preset has no
    ladder of them, "best of 2" where the row has the best of them, "all 4" where runs at each of them count.
    """
    if row in claim.ladders:
        return f"best of {claim.ladders[row]}"
    rates = ladder(claim)
    if len(rates) < 2:
        return "1"
    return f"best of {len(rates)}" if claim.tuned else f"all {len(rates)}"


def ladder(claim: Claim) -> list[str]:
    """Return the learning rates over which the presets of a claim sweep; none where they have the default."""
    names = [name for command in claim.commands for name in PRESET.findall(command)]
    presets = [yaml.safe_load((CONF / "sweep" / f"{name}.yaml").read_text()) for name in names]
    found = [str(x["hydra"]["sweeper"]["params"].get(LR, "")).split(",") for x in presets]
    return sorted({rate for rates in found for rate in rates if rate}, key=float)
