"""The overrides of a sweep that wait until its jobs are composed.

Hydra composes a sweep once before its jobs, without what varies. Where that is the model, an override of a
key that only models have would be refused there; so such words are taken out of the command, and the sweeper
adds them to each job.
"""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from genbench.config.groups import CONF

__all__ = ["SEVERAL", "held", "hold", "waits"]

SEVERAL = {"-m", "--multirun"}
OF_THE_SWEEP = ("sweep", "runs_dir", "name")
"""Keys that the sweep itself needs: which jobs, and where its ledger is."""
KEPT: list[str] = []


def hold(words: Sequence[str]) -> list[str]:
    """The words that Hydra gets, of a command; the others are kept if it is a sweep over combinations."""
    varies = SEVERAL & set(words) or any(word.startswith("sweep=") for word in words)
    KEPT[:] = [word for word in words if waits(word)] if varies and not searches(words) else []
    return [word for word in words if word not in KEPT]


def held() -> list[str]:
    """The words that were kept."""
    return list(KEPT)


def searches(words: Sequence[str]) -> bool:
    """Return True where a sweep chooses its jobs one after another, by a sweeper of its own."""
    presets = [CONF / "sweep" / f"{word[6:]}.yaml" for word in words if word.startswith("sweep=")]
    chosen = any("/hydra/sweeper:" in path.read_text() for path in presets if path.exists())
    return chosen or any(word.startswith("hydra/sweeper=") for word in words)


def waits(word: str) -> bool:
    """Return True for an override of the jobs that does not vary; Hydra says what is wrong with others."""
    key = word.partition("=")[0].lstrip("+~")
    if word.startswith("-") or "=" not in word or key.startswith("hydra") or key in OF_THE_SWEEP:
        return False
    try:
        return not OverridesParser.create().parse_override(word).is_sweep_override()
    except HydraException:
        return False
