"""Who leads in one measure, by the report's own statistics, as a sentence and a row that shows it."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from genbench.records.metric_kinds import KINDS
from genbench.records.metric_name import of_ema
from genbench.report.numbers import p_words, rounded, shared_decimals, uncertainty
from genbench.report.statistics import Estimate, Leader, adjusted, estimate, leader

__all__ = [
    "Measure",
    "Ranking",
    "corrected",
    "model_of",
    "number",
    "of_file",
    "ranking",
    "score",
    "text_of",
    "values_of",
]

Record = Mapping[str, Any]


class Measure(NamedTuple):
    """A number of a run that answers a need. title: with its unit; better: -1 where lower is better, 1 where
    higher is; read: a record of a run -> the number, None where it has none; low, high: the ends of its 95 %
    interval over samples.
    """

    title: str
    better: int
    read: Callable[[Record], float | None]
    low: Callable[[Record], float | None] = lambda record: None
    high: Callable[[Record], float | None] = lambda record: None

    @property
    def heading(self) -> str:
        """The title with an arrow that says which way is better."""
        return f"{self.title} {'↓' if self.better < 0 else '↑'}"


class Ranking(NamedTuple):
    """The models that have a measure, from best to worst: names, texts of their numbers, and estimates.

    test: of the lead of the first over those with several seeds; None where it has one seed, or no rival.
    """

    measure: Measure
    names: Sequence[str]
    texts: Sequence[str]
    found: Sequence[Estimate]
    test: Leader | None

    @property
    def sentence(self) -> str:
        """Who has the best number, and how sure its lead is."""
        way = "lowest" if self.measure.better < 0 else "highest"
        best = [name for name, x in zip(self.names, self.found, strict=True) if x.mean == self.found[0].mean]
        if len(best) > 1:
            return f"{named(best)} share the {way} {self.measure.title} ({self.texts[0]})."
        lead = f"{self.names[0]} has the {way} {self.measure.title} ({self.texts[0]})"
        if len(self.names) < 2:
            return f"{lead}; no other model has a number."
        return f"{lead}; {self.tested}."

    @property
    def tested(self) -> str:
        """What the test says of the lead of the first model over those with several seeds."""
        several = [i for i, x in enumerate(self.found) if x.std is not None]
        single = [name for name, x in zip(self.names, self.found, strict=True) if x.std is None]
        without = f"{named(single)} {'has' if len(single) == 1 else 'have'} one seed" if single else ""
        if self.test is None:
            who = "all models have one seed" if not several else without
            return f"its lead over {self.names[1]} ({self.texts[1]}) is not tested, as {who}"
        rest = f"its lead over {self.names[self.test.second]} ({self.texts[self.test.second]})"
        untested = f"; {without}, and cannot be tested" if single else ""
        if self.test.is_significant:
            others = " and every other model" if len(several) > 2 else ""
            more = " of several seeds" if single and others else ""
            return f"{rest}{others}{more} is significant ({p_words(self.test.p_value)}){untested}"
        sure = "significant" if self.test.beats_second else "not significant"
        rival = f"{self.names[self.test.rival]} ({p_words(self.test.p_value)})"
        but = f", but not that over {rival}" if self.test.beats_second else ""
        return f"{rest} is {sure} ({p_words(self.test.p_of_second)}){but}{untested}"


def score(kind: str) -> Measure:
    """Return the measure of a kind of score of EMA weights against the training images."""

    def reader(name: str) -> Callable[[Record], float | None]:
        return lambda record: number(of_train(record).get(name))

    names = (kind, f"{kind}_low", f"{kind}_high")
    return Measure(KINDS[kind].title, KINDS[kind].better, *map(reader, names))


def of_train(record: Record) -> dict[str, float | None]:
    """Return a record's scores of EMA weights by their kinds, those against test images left out."""
    metrics = (record.get("result") or {}).get("metrics", {})
    return of_ema({name: x for name, x in metrics.items() if ",ref=test" not in name})


def number(value: object) -> float | None:
    """Return a finite number, None for all else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def of_file(file: str, name: str) -> Callable[[Record], float | None]:
    """Return what reads a number from a file that a record holds."""

    def read(record: Record) -> float | None:
        content = record.get("files", {}).get(file)
        return None if content is None else number(json.loads(content).get(name))

    return read


def model_of(record: Record) -> str:
    """Return the model of a run: of one that failed, that of its overrides."""
    named = [word.partition("=")[2] for word in record.get("overrides", []) if word.startswith("model=")]
    choices = (record.get("result") or {}).get("choices", {})
    return str(choices.get("model", [*named, "?"][0]))


def values_of(records: Sequence[Record], measure: Measure) -> dict[str, list[float]]:
    """Return the numbers of each model, one a run that has the measure; models without any are left out."""
    found: dict[str, list[float]] = {}
    for record in records:
        if (value := measure.read(record)) is not None:
            found.setdefault(model_of(record), []).append(value)
    return found


def ranking(records: Sequence[Record], measure: Measure) -> Ranking | None:
    """Rank the models of some runs by a measure; None where no run has it."""
    known = {name: estimated(name, records, measure) for name in values_of(records, measure)}
    names = sorted(known, key=lambda name: -measure.better * known[name].mean)
    if not names:
        return None
    found = [known[name] for name in names]
    digits = shared_decimals(found)
    return Ranking(measure, names, [text_of(x, digits) for x in found], found, test_of(found, measure))


def estimated(name: str, records: Sequence[Record], measure: Measure) -> Estimate:
    """Return the mean of a model's numbers over its runs; a single one has its interval over samples."""
    values, lows, highs = (
        values_of(records, measure._replace(read=read)).get(name, [])
        for read in (measure.read, measure.low, measure.high)
    )
    return estimate(values, *(end[0] if len(end) == 1 else None for end in (lows, highs)))


def test_of(found: Sequence[Estimate], measure: Measure) -> Leader | None:
    """Test the lead of the first of some estimates, from best to worst, over those of several seeds; None
    where it is none of these, or the only one.
    """
    several = [i for i, x in enumerate(found) if x.std is not None]
    test = leader([found[i] for i in several], measure.better)
    return None if test is None or several[0] != 0 else test.moved(several.__getitem__)


def corrected(rankings: Sequence[Ranking | None]) -> list[Ranking | None]:
    """Return rankings with the p values of their tests after Holm's correction over all that are tested."""
    tests = [each.test for each in rankings if each is not None and each.test is not None]
    p_values = adjusted([test.p_value for test in tests])
    p_of_second = adjusted([test.p_of_second for test in tests])
    known = (
        test._replace(p_value=p, p_of_second=second)
        for test, p, second in zip(tests, p_values, p_of_second, strict=True)
    )
    return [
        each if each is None or each.test is None else each._replace(test=next(known)) for each in rankings
    ]


def text_of(x: Estimate, digits: int | None) -> str:
    """Return a mean with its standard deviation over seeds, or a single number with its interval."""
    places = 3 if digits is None else digits
    return f"{rounded(x.mean, places)} {uncertainty(x, places)}".strip()


def named(names: Sequence[str]) -> str:
    """Return names as the subject of a sentence: all of up to three, else two and the number of the rest."""
    shown = [*names] if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
