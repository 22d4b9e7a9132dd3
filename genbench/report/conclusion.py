"""Conclusion of a table in words: which row leads, how sure that is, and what a reader must know about it.

A lead is called significant without a "but" where the table has a bold value, and nowhere else: both come
from one test, see `table.ranked`. Of equal models a lead over the next row, or over all, is called so in at
most 5 % of all tables, whatever number of columns they have.
"""

import math
import re
from collections.abc import Iterator, Sequence
from operator import attrgetter

from genbench.report.budgets import budgets, stopped_early
from genbench.report.columns import Column, leading
from genbench.report.data_frame import cells, distinct, present
from genbench.report.groups import pooled
from genbench.report.numbers import p_words, parts
from genbench.report.row_names import row_names
from genbench.report.runs import Runs
from genbench.report.statistics import Leader, adjusted, two_sided
from genbench.report.table import Line, Table, budget_groups
from genbench.report.table_cell import Entry
from genbench.report.two_sided import Measure

__all__ = ["conclusion", "sides_conclusion"]

SENTENCES, NAMED = 3, 3  # the most of a conclusion, and how many rows are named before they are counted
IMAGES = re.compile(r"[0-9,]+ images")  # a budget that --filter takes as it stands
TIMES = 10  # from which ratio on the cost of sampling is named
BOUNDS = {  # kinds of likelihoods, whose numbers are compared among themselves alone
    "exact": "an exact likelihood",
    "lower": "an upper bound on bits/dim (≤)",
    "estimate": "an estimate of bits/dim (≈)",
}


def conclusion(table: Table) -> str:
    """Return one to three sentences on a table: the row with the best value of the first metric, with its
    lead and the test of it, what does not compare, the cost where it differs much, and the best likelihood.

    Empty for a table without a metric that two rows have. Plain text, which holds words of the runs.
    """
    first = leading(table.columns)
    places = [] if first is None else by_rank(table.entries[first], table.columns[first].better)
    given = [i for i in places if table.lines[i].is_given]
    places = [i for i in places if i not in given]
    if first is None or len(places) < 2:
        return ""
    names, col = row_names(table), table.columns[first]
    test = table.leaders.get(col.name)
    best, second = (test.place, test.second) if test else places[:2]
    found = [headline(table, first, best, second), *caveats(table, best, places)]
    if given:
        found[0] = f"Of the trained rows, {found[0]}"
    for i in given[:1]:
        value = value_of(table.entries[first][i], col)
        found.append(f"{names[i]}, images of another tool, has {col.title} {value}, and is not ranked.")
    found += [*cost(table, best, second, names), *likelihood(table, names, but=col.name)]
    return " ".join(found[:SENTENCES])


def by_rank(column: Sequence[Entry], better: int) -> list[int]:
    """Return the places of a column that hold a number, from best to worst."""
    known = {i: better * x.estimate.mean for i, x in enumerate(column) if x.estimate}
    return sorted((i for i in known if not math.isnan(known[i])), key=lambda i: -known[i])


def headline(table: Table, place: int, best: int, second: int) -> str:
    """Return the sentence on the leading row of one column, and on its lead over another row."""
    col, names = table.columns[place], row_names(table)
    one, other = (table.lines[i].entries[place] for i in (best, second))
    values = [value_of(x, col) for x in (one, other)]
    way = way_of(col)
    if values[0] == values[1] and not one.is_best:
        lead = f"{names[best]} and {names[second]} share the {way} {col.title} ({values[0]})"
        return f"{lead}; {verdict(table, col, one, 'their difference')}."
    lead = f"{names[best]} has the {way} {col.title} ({values[0]})"
    others = " and every other row" if one.is_best and len(table.lines) > 2 else ""
    return f"{lead}; {verdict(table, col, one, f'its lead over {names[second]} ({values[1]}){others}')}."


def value_of(entry: Entry, col: Column) -> str:
    """Return the value of a place as the table has it, with its unit where the title does not say it."""
    value = parts(entry, col.name)[0]
    return f"{value} s" if col.name == "target_seconds" else value


def way_of(col: Column) -> str:
    """Return the word for the better side of a column."""
    return "lowest" if col.better < 0 else "highest"


def verdict(table: Table, col: Column, entry: Entry, lead: str) -> str:
    """Return the end of a headline: if the lead is significant, or why that was not tested.

    lead: its subject, such as "its lead over vae (4.72)".
    """
    place = table.columns.index(col)
    if len(table.budgets) > 1:
        return f"{lead} is not tested, as training budgets differ ({some_of(table.budgets)})"
    if entry.is_partial:
        return f"{lead} does not count, as only some of its runs have this value"
    if (test := table.leaders.get(col.name)) is not None:
        p = test.p_value if test.is_significant else test.p_of_second
        found = f"{lead} is {'' if test.beats_second else 'not '}significant ({test_words(table, test, p)})"
        if test.is_significant or not test.beats_second:
            return found
        name, value = row_names(table)[test.rival], value_of(table.lines[test.rival].entries[place], col)
        return f"{found}, but its lead over {name} ({value}) is not ({p_words(test.p_value)})"
    column = table.entries[place]
    known = [x for line, x in zip(table.lines, column, strict=True) if x.estimate and not line.is_given]
    if all(is_one(x) for x in known):
        return f"{lead} cannot be tested with one seed each: repeat with {repeated(table)}"
    rows = zip(row_names(table), table.lines, column, strict=True)
    if single := [name for name, line, x in rows if is_one(x) and not line.is_given]:
        has = "has one seed" if len(single) == 1 else "have one seed each"
        return f"{lead} cannot be tested, as {some_of(single)} {has}: repeat with {repeated(table)}"
    return f"{lead} is not tested, as the numbers are of several kinds"


def is_one(entry: Entry) -> bool:
    """True for a number of a single run, which does not show how much training varies."""
    return entry.estimate is not None and entry.estimate.std is None


def test_words(table: Table, test: Leader, p: float) -> str:
    """Return the test behind a verdict: p = 0.21, Welch's test, 3 seeds each, Holm over 5 columns.

    test: of the leading row against the next one; p: what it gave, after Holm's correction.
    """
    repeats = "runs" if pooled(table.runs, [line.rows for line in table.lines]) else "seeds"
    counts = [len(table.lines[i].runs) for i in (test.place, test.second)]
    sizes = f"{counts[0]} {repeats} each"
    if counts[0] != counts[1]:
        sizes = f"{counts[0]} and {counts[1]} {repeats}"
    holms = f", Holm over {table.tested} columns" if table.tested > 1 else ""
    return f"{p_words(p)}, Welch's test, {sizes}{holms}"


def repeated(table: Table) -> str:
    """Return the words of a command that gives each row three seeds, from the lowest of the first row."""
    seeds = [int(str(x)) for x in table.lines[0].seeds if str(x).isdecimal()]
    start = min(seeds, default=0)
    return f"seed={start},{start + 1},{start + 2}"


def caveats(table: Table, best: int, places: Sequence[int]) -> Iterator[str]:
    """Yield a sentence where the leading row is guided or conditional and others are not, and one on the
    leading row of the commonest budget where budgets differ; first of all, which rows have runs that stopped
    early.

    places: of the rows that have the value, from best to worst.
    """
    names = row_names(table)
    if early := [i for i in places if stopped_early(table.lines[i].rows)]:
        which = some_of([names[i] for i in early])
        yield f"Budgets are not all spent: {which} {'has' if len(early) == 1 else 'have'} runs stopped early."
    for is_of, words in (
        (
            attrgetter("is_guided"),
            "is guided: quality at a scale of guidance does not compare with that of unguided rows",
        ),
        (is_conditional, "draws images of given classes, which others do not"),
        (is_of_text, "draws images of given texts, which others do not"),
    ):
        others = [i for i in places if not is_of(table.lines[i])]
        if is_of(table.lines[best]) and others:
            yield f"{names[best]} {words}, the best of which is {names[others[0]]}."
            break
    if len(table.budgets) > 1:
        groups = budget_groups([table.lines[i] for i in places])
        budget, equal = max(groups.items(), key=lambda pair: len(pair[1]), default=("", []))
        if len(equal) > 1:
            first = places[equal[0]]
            col = next(col for col in table.columns if col.better)
            value = value_of(table.lines[first].entries[table.columns.index(col)], col)
            rows = f"Of the {len(equal)} rows with {budget}"
            repeated = all(not is_one(table.entries[table.columns.index(col)][places[i]]) for i in equal)
            test = "not tested"
            if repeated and IMAGES.fullmatch(budget):
                test = f"not tested here, but by --filter 'budget={budget}'"
            yield f"{rows}, {names[first]} has the {way_of(col)} {col.title} ({value}; {test})."


def is_conditional(line: Line) -> bool:
    """True for a row of runs whose samples are of given classes."""
    return any(str(x).lower() == "true" for x in line.cells("conditional"))


def is_of_text(line: Line) -> bool:
    """True for a row of runs whose samples are drawn to texts, such as the captions of held-out images."""
    return any("text prompts" in str(text) for text in present(line.cells("conditioning")))


def cost(table: Table, best: int, second: int, names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence where samples of the leading row and of another differ in cost by TIMES or more.

    Seconds count on one device alone; else network evaluations do, which are no time.
    """
    lines = [table.lines[i] for i in (best, second)]
    devices = {device for line in lines for device in line.cells("device")}
    measure, what = "seconds_per_image", "as long"
    if len(devices) > 1:
        measure, what = "passes_per_sample", "as many network evaluations"
    found = [[x for x in line.cells(measure) if isinstance(x, int | float) and x > 0] for line in lines]
    if not all(found):
        return
    one, other = (sum(numbers) / len(numbers) for numbers in found)
    dear, cheap = (best, second) if one > other else (second, best)
    if (ratio := max(one / other, other / one)) >= TIMES:
        yield f"A sample of {names[dear]} takes {times(ratio)} times {what} as one of {names[cheap]}."


def times(ratio: float) -> str:
    """Return a ratio to two figures: 12, 50, 1,300."""
    return f"{float(f'{ratio:.2g}'):,.0f}"


def likelihood(table: Table, names: Sequence[str], but: str) -> Iterator[str]:
    """Yield a sentence on the best bits per dimension among the rows with the commonest kind of bound.

    but: a column that the headline is about, so that nothing is said twice. Only numbers of one kind, method
    and count were tested; others are compared in words alone.
    """
    place = next((i for i, col in enumerate(table.columns) if col.name == "bits_per_dim"), None)
    if place is None or but == "bits_per_dim":
        return
    col, column = table.columns[place], table.entries[place]
    kinds: dict[str, list[int]] = {}
    for i in by_rank(column, col.better):
        bounds = distinct(present(table.lines[i].cells("bound")))
        if len(bounds) == 1:
            kinds.setdefault(str(bounds[0]), []).append(i)
    bound, places = max(kinds.items(), key=lambda pair: len(pair[1]), default=("", []))
    if bound not in BOUNDS or len(places) < 2:
        return
    if col.name in table.leaders:
        test = table.leaders[col.name]
        yield headline(table, place, test.place, test.second)
        return
    value = value_of(column[places[0]], col)
    rows = f"Of the {len(places)} rows with {BOUNDS[bound]},"
    yield f"{rows} {names[places[0]]} has the lowest ({value}; not tested)."


def some_of(words: Sequence[str]) -> str:
    """Return the first few of some words, and the number of the others."""
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return f"{', '.join(words[:NAMED])}{more}"


def sides_conclusion(measures: Sequence[Measure], sides: Sequence[Runs]) -> str:
    """Return one to three sentences on two sides: which has the better first measure, how sure that is, and
    in which measures they differ significantly.

    measures: of `compare_sides`, whose `is_significant` the sentences follow; sides: the runs of A and B,
    which are named by their models where these differ. Plain text, which holds words of the runs.
    """
    first, tested = measures[0], [x for x in measures if x.is_tested]
    p_values = adjusted([two_sided(x.p) for x in tested])
    names = side_names(sides)
    is_a = first.column.better * (first.a - first.b) >= 0
    values = first.texts if is_a else first.texts[::-1]
    way = "lower" if first.column.better < 0 else "higher"
    found = [f"{names[not is_a]} has the {way} {first.column.title} ({values[0]} against {values[1]})"]
    if first.a == first.b:
        found = [f"A and B have the same {first.column.title} ({values[0]})"]
    if first.is_tested:
        holms = f", Holm over {len(tested)} measures" if len(tested) > 1 else ""
        sure = "" if first.is_significant else "not "
        found[0] += f"; the difference is {sure}significant ({p_words(p_values[0])}, {first.by}{holms})."
    else:
        found[0] += "; one run of a side cannot be tested: train both with seed=0,1,2."
    if len(tested) > 1:
        better = [[x.column.title for x in tested if x.is_significant and is_b(x) == i] for i in (0, 1)]
        both = [f"{names[i]} is better in {', '.join(titles)}" for i, titles in enumerate(better) if titles]
        sure = f"Significant at 95 %: {'; '.join(both)}." if both else ""
        found.append(sure or f"None of the {len(tested)} measures differs significantly.")
    if len(allowed := sorted({words for runs in sides for words in budgets(runs.frame)})) > 1:
        found.append(f"Training budgets differ: {some_of(allowed)}.")
    if early := [run for runs in sides for run in stopped_early(runs.frame)]:
        found.append(f"Stopped early, with the budget not spent: {some_of(early)}.")
    return " ".join(found)


def is_b(measure: Measure) -> bool:
    """True where B is better in a measure."""
    return measure.column.better * (measure.a - measure.b) < 0


def side_names(sides: Sequence[Runs]) -> list[str]:
    """Return the names of both sides for a sentence, with their models where these differ: A (ddpm)."""
    models = [", ".join(map(str, distinct(present(cells(runs.frame, "model"))))) for runs in sides]
    if models[0] == models[1] or not all(models):
        return ["A", "B"]
    return [f"{side} ({model})" for side, model in zip("AB", models, strict=True)]
