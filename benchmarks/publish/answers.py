"""Which model for which need: a table and a sentence for each, computed from the records of the runs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.publish.book import Book
from benchmarks.publish.copying import copiers, copying
from benchmarks.publish.plan import PARTS
from benchmarks.publish.runs import TUNED
from benchmarks.publish.winners import (
    Measure,
    Ranking,
    Record,
    corrected,
    model_of,
    number,
    of_file,
    ranking,
    score,
)
from genbench.records.metric_kinds import KINDS
from genbench.records.metric_name import MetricName, is_metric
from genbench.report.formats.markdown import rows_markdown

__all__ = ["HALVES", "NEEDS", "Need", "answers", "held_out", "mean_image", "of_need", "row"]

SHOWN = 3
"""Models of a row: the best, and those behind it."""
FAIRNESS = (
    "All had the same seconds of training on one thread of a CPU. Not all had the same care: "
    f"{', '.join(TUNED)} have settings tuned on Fashion-MNIST, the others those made for digits. FIDs are of "
    "features of small classifiers of these data, not of Inception: they do not compare with those of "
    "papers, nor between data sets. Exact likelihoods, bounds and estimates do not rank with one another."
)
TESTED = (
    "p: two-sided p value of Welch's test over training seeds, with Holm's correction over all needs that "
    "are tested."
)
BOUNDS = {"exact": "exact bits/dim", "lower": "upper bound on bits/dim", "estimate": "estimate of bits/dim"}


class Need(NamedTuple):
    """What somebody needs, and where the benchmark has the answer.

    part: the key of the part whose runs are ranked; measure: what by; only: which of these runs count.
    beside: sentences on what a number has to be compared with; useless: the number that is had without any
    model, None where there is none: a model that is no better is not recommended. left_out: models that do
    not meet the need, whatever their numbers.
    """

    need: str
    part: str
    measure: Measure
    only: Callable[[Record], bool] = lambda record: True
    beside: Sequence[Callable[[Sequence[Record]], list[str]]] = ()
    useless: Callable[[Sequence[Record]], float | None] = lambda records: None
    left_out: Callable[[Sequence[Record]], list[str]] = lambda records: []


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


def mean_image_error(records: Sequence[Record]) -> float | None:
    """Return the error of the mean of the training images, which knows nothing of the upper half; None where
    no run has measured it.
    """
    errors = [x for record in records if (x := of_file("halves.json", "mean_image_mse")(record)) is not None]
    return errors[0] if errors else None


def mean_image(records: Sequence[Record]) -> list[str]:
    """Return a sentence on the error of the mean image, where it is known."""
    error = mean_image_error(records)
    return [] if error is None else [f"Without a model: the mean of the training images has {error:.3g}."]


def held_out(kind: str) -> Callable[[Sequence[Record]], list[str]]:
    """Return what says which score real held-out images have, where a run has it."""

    def sentence(records: Sequence[Record]) -> list[str]:
        for record in records:
            metrics = (record.get("result") or {}).get("metrics", {})
            for name, value in metrics.items():
                parsed = MetricName.parse(name) if is_metric(name) else None
                is_real = parsed is not None and (parsed.kind, parsed.of, parsed.spread) == (kind, "test", "")
                if is_real and parsed is not None and parsed.ref != "test":
                    return [f"Real held-out images: {KINDS[kind].title} {value:.3g}."]
        return []

    return sentence


HALVES = Measure(
    "squared error of the lower half, mean of 8 completions", -1, of_file("halves.json", "halves_mse")
)
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
        HALVES,
        beside=(mean_image,),
        useless=mean_image_error,
    ),
    Need("images of a text", "text", RIGHT, beside=(held_out("caption_accuracy"),)),
    Need(
        "tiny data: new images after 100",
        "tiny_data",
        score("fid"),
        beside=(copying, held_out("fid")),
        left_out=copiers,
    ),
)
"""Needs in the order of the table; each is answered by one part, with a link to its page."""


def answers(book: Book) -> str:
    """Return a table with a row for each need that the records answer, and a sentence for each, as Markdown,
    with the runs that the numbers are without.
    """
    found = [(need, of_need(need, book[need.part].records)) for need in NEEDS]
    answered = [(need, ranked) for need, ranked in found if ranked is not None]
    tested = corrected([ranked for _, ranked in answered])
    known = [(need, ranked) for (need, _), ranked in zip(answered, tested, strict=True)]
    rows = [
        [need.need, *row(need, ranked, need.useless(book[need.part].records)), title(need.part)]
        for need, ranked in known
    ]
    heads = ["you need", "measure", "best", "then", "measured in"]
    sentences = [
        " ".join([f"- **{need.need.capitalize()}**:", ranked.sentence, *beside(need, book)])
        for need, ranked in known
    ]
    missing = [need.need for need, ranked in found if ranked is None]
    note = [f"\nNot measured yet: {'; '.join(missing)}."] if missing else []
    if not known:
        return "".join(note).strip()
    return "\n".join([rows_markdown(heads, rows), *sentences, *conditions(known, book), *note])


def beside(need: Need, book: Book) -> list[str]:
    """Return the sentences on what the numbers of a need have to be compared with."""
    return [sentence for each in need.beside for sentence in each(book[need.part].records)]


def conditions(known: Sequence[tuple[Need, Ranking]], book: Book) -> list[str]:
    """Return paragraphs on where the answers were measured, with links, on what they are without, and on how
    their leads were tested, where one could be.
    """
    parts = dict.fromkeys(need.part for need, _ in known)
    measured = f"Measured in: {'; '.join(link(part, book) for part in parts)}."
    p_values = f" {TESTED}" if any(ranked.test for _, ranked in known) else ""
    disturbed = [f"{title(part)}: {sentence}" for part in parts for sentence in book[part].disturbed]
    return [f"\n{paragraph}" for paragraph in (measured, f"{FAIRNESS}{p_values}", *disturbed)]


def link(part: str, book: Book) -> str:
    """Return a link to the page of a part, with how many of its runs there are where some are missing."""
    return ", ".join(filter(None, [f"[{title(part)}]({part}.md)", book[part].so_far]))


def title(part: str) -> str:
    """Return the title of a part."""
    return next(each.title for each in PARTS if each.key == part)


def of_need(need: Need, records: Sequence[Record]) -> Ranking | None:
    """Rank the models that meet a need."""
    finished = [record for record in records if record.get("result") and need.only(record)]
    without = {"?", *need.left_out(finished)}
    return ranking([record for record in finished if model_of(record) not in without], need.measure)


def row(need: Need, found: Ranking, useless: float | None) -> list[str]:
    """Return the places of a need's row: its measure, the best model, and the next ones, of those that are
    better than what is had without a model.
    """
    better = need.measure.better
    shown = [
        f"{name} {text}"
        for name, text, x in zip(found.names, found.texts, found.found, strict=True)
        if useless is None or better * x.mean > better * useless
    ]
    return [need.measure.heading, (shown or ["–"])[0], ", ".join(shown[1:SHOWN]) or "–"]
