"""Which model for which need: a table and a sentence for each, computed from the records of the runs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.publish.book import Book
from benchmarks.publish.plan import PARTS
from benchmarks.publish.runs import TUNED
from benchmarks.publish.unfit import COMPLETION_ERROR, Unfit, copying, mean_image, no_better_than_none
from benchmarks.publish.winners import (
    Measure,
    Ranking,
    Record,
    corrected,
    model_of,
    number,
    ranking,
    score,
)
from genbench.records.metric_kinds import KINDS
from genbench.records.metric_name import MetricName, is_metric
from genbench.report.formats.markdown import rows_markdown

__all__ = ["NEEDS", "Answer", "Need", "answer", "answers", "held_out"]

SHOWN = 3
"""Models of a row: the best, and those behind it."""
FAIRNESS = (
    "Within a part, all models had the same seconds of training on one thread of a CPU; fits in closed form "
    "at its end are not counted. Not all had the same care: on Fashion-MNIST "
    f"{', '.join(TUNED)} have settings tuned on these data, the others those made for digits. FIDs are of "
    "features of small classifiers of these data, not of Inception: they do not compare with those of "
    "papers, nor between data sets. Exact likelihoods, bounds and estimates do not rank with one another. "
    "± is the standard deviation over training seeds; [low, high] is a 95 % interval over the samples of one "
    "seed, which does not say how much trainings vary."
)
TESTED = (
    "p: two-sided p value of Welch's test over training seeds, with Holm's correction over all needs that "
    "are tested."
)
BOUNDS = {"exact": "exact bits/dim", "lower": "upper bound on bits/dim", "estimate": "estimate of bits/dim"}


class Need(NamedTuple):
    """What somebody needs, and where the benchmark has the answer.

    part: the key of the part whose runs are ranked; measure: what by; only: which of these runs count.
    beside: sentences on what a number has to be compared with; left_out: models that do not meet the need,
    whatever their numbers.
    """

    need: str
    part: str
    measure: Measure
    only: Callable[[Record], bool] = lambda record: True
    beside: Sequence[Callable[[Sequence[Record]], list[str]]] = ()
    left_out: Callable[[Sequence[Record]], Unfit] = lambda records: Unfit()


def one_pass(record: Record) -> bool:
    """Return True for a run whose samples take one network evaluation each."""
    cost = (record.get("result") or {}).get("cost", {})
    return cost.get("passes_per_sample") == 1


def bits(bound: str) -> Measure:
    """Return the measure of bits per dimension of one kind; numbers of other kinds do not compare."""

    def read(record: Record) -> float | None:
        found = (record.get("result") or {}).get("likelihood", {})
        return number(found.get("bits_per_dim")) if found.get("bound") == bound else None

    return Measure(BOUNDS[bound], -1, read)


def held_out(kind: str, title: str = "") -> Callable[[Sequence[Record]], list[str]]:
    """Return what says which score real held-out images have, where a run has it.

    title: of the score, that of its kind by default.
    """
    words = title or KINDS[kind].title

    def sentence(records: Sequence[Record]) -> list[str]:
        for record in records:
            metrics = (record.get("result") or {}).get("metrics", {})
            for name, value in metrics.items():
                parsed = MetricName.parse(name) if is_metric(name) else None
                is_real = parsed is not None and (parsed.kind, parsed.of, parsed.spread) == (kind, "test", "")
                if is_real and parsed is not None and parsed.ref != "test":
                    return [f"Real held-out images: {words} {value:.3g}."]
        return []

    return sentence


RIGHT = score("caption_accuracy")._replace(title="share of images that show their caption")

NEEDS = (
    Need(
        "best samples for the seconds of training", "fashion_mnist", score("fid"), beside=(held_out("fid"),)
    ),
    Need("best likelihood, exact", "fashion_mnist", bits("exact")),
    Need("best likelihood, as a bound", "fashion_mnist", bits("lower")),
    Need("likelihood, as an estimate", "fashion_mnist", bits("estimate")),
    Need("one network evaluation per sample", "fashion_mnist", score("fid"), one_pass),
    Need(
        "editing: completing a lower half",
        "digits_seconds",
        COMPLETION_ERROR,
        beside=(mean_image,),
        left_out=no_better_than_none,
    ),
    Need("images of a text", "text", RIGHT, beside=(held_out("caption_accuracy", "share"),)),
    Need(
        "tiny data: new images after 100",
        "tiny_data",
        score("fid"),
        beside=(held_out("fid"),),
        left_out=copying,
    ),
)
"""Needs in the order of the table; each is answered by one part, with a link to its page."""


class Answer(NamedTuple):
    """What the records say of a need. ranked: the models that meet it, None where none does; is_measured: if
    any run has the number, be its model fit or not; beside: sentences on what to compare it with.
    """

    need: Need
    ranked: Ranking | None
    is_measured: bool
    beside: Sequence[str]

    @property
    def places(self) -> list[str]:
        """The measure, the best model, and the next ones: places of the need's row in the table."""
        shown = [] if self.ranked is None else [*zip(self.ranked.names, self.ranked.texts, strict=True)]
        texts = [f"{name} {text}" for name, text in shown[:SHOWN]]
        return [self.need.measure.heading, (texts or ["none"])[0], ", ".join(texts[1:]) or "–"]

    @property
    def sentence(self) -> str:
        """The need, with a link; who has the best number, how sure that is, and what to compare it with."""
        said = "no model that was measured meets it." if self.ranked is None else self.ranked.sentence
        link = f"[{self.need.need.capitalize()}]({self.need.part}.md)"
        return " ".join([f"- **{link}**:", said, *self.beside])


def answers(book: Book) -> str:
    """Return a table with a row for each need that the records answer, and a sentence for each, as Markdown,
    with the runs that the numbers are without.
    """
    found = [answer(need, book[need.part].records) for need in NEEDS]
    ranked = corrected([each.ranked for each in found])
    found = [each._replace(ranked=own) for each, own in zip(found, ranked, strict=True)]
    known = [each for each in found if each.is_measured]
    rows = [[each.need.need, *each.places, title(each.need.part)] for each in known]
    heads = ["you need", "measure", "best", "then", "measured in"]
    missing = [each.need.need for each in found if not each.is_measured]
    note = [f"\nNot measured yet: {'; '.join(missing)}."] if missing else []
    if not known:
        return "".join(note).strip()
    sentences = [each.sentence for each in known]
    return "\n".join([rows_markdown(heads, rows), *sentences, *conditions(known, book), *note])


def answer(need: Need, records: Sequence[Record]) -> Answer:
    """Rank the models that meet a need, without those that are unfit, which a sentence names."""
    finished = [record for record in records if record.get("result") and need.only(record)]
    unfit = need.left_out(finished)
    without = {"?", *unfit.names}
    ranked = ranking([record for record in finished if model_of(record) not in without], need.measure)
    beside = [sentence for each in need.beside for sentence in each(records)]
    is_measured = any(need.measure.read(record) is not None for record in finished)
    return Answer(need, ranked, is_measured, [*beside, *filter(None, [unfit.why])])


def conditions(known: Sequence[Answer], book: Book) -> list[str]:
    """Return paragraphs on what the answers are without, and on how their leads were tested, where one could
    be.
    """
    parts = dict.fromkeys(each.need.part for each in known)
    so_far = [f"{title(part)}: {book[part].so_far}" for part in parts if book[part].so_far]
    missing = [f"Not all has been measured yet. {'; '.join(so_far)}."] if so_far else []
    p_values = f" {TESTED}" if any(each.ranked and each.ranked.test for each in known) else ""
    lacks = [
        f"{title(part)}: {sentence}"
        for part in parts
        for sentence in (*book[part].failed, *book[part].disturbed)
    ]
    return [f"\n{paragraph}" for paragraph in (f"{FAIRNESS}{p_values}", *missing, *lacks)]


def title(part: str) -> str:
    """Return the title of a part."""
    return next(each.title for each in PARTS if each.key == part)
