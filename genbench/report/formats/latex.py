"""Tables of a report as LaTeX source for a column of a paper, with rules of the package booktabs."""

import re
from collections import Counter

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import FIRST, MEASURES, Column
from genbench.report.compare import Comparison
from genbench.report.data_frame import cells, distinct, present
from genbench.report.footnotes import notes
from genbench.report.names import some
from genbench.report.numbers import written
from genbench.report.table import Table
from genbench.runtime.printable import in_one_line

__all__ = ["latex"]

SPECIAL = {letter: f"\\{letter}" for letter in "&%$#_{}"}
NAMES = ["backslash", "asciitilde", "asciicircum", "less", "greater", "bar"]
SPECIAL |= {letter: f"\\text{name}{{}}" for letter, name in zip("\\~^<>|", NAMES, strict=True)}
# "[" at the beginning of a row would be an argument of the line break before it, "*" its starred form.
SPECIAL |= {letter: f"{{{letter}}}" for letter in "[]*"} | {'"': "{\\char34}", "–": "--"}
SYMBOLS = {"±": "pm", "≤": "le", "≈": "approx", "∞": "infty", "↓": "downarrow", "↑": "uparrow", "†": "dag"}
SYMBOLS["‡"] = "ddag"
SPECIAL |= {letter: f"$\\{name}$" for letter, name in SYMBOLS.items()}
HEAD = "% needs \\usepackage{booktabs} and \\usepackage{graphicx}\n"
IN_PAPER = ("bits_per_dim", "passes_per_sample", "seconds_per_image")  # beside the first metrics
WIDTH = "\\ifdim\\width>\\columnwidth\\columnwidth\\else\\width\\fi"  # no table is made wider than it is


def latex(found: Comparison) -> str:
    """Return a comparison as LaTeX: a table environment with a label for each data set, its notes below it.

    A table has the columns that the user named, by default what fits into a column of a paper: what tells
    rows apart, the first metrics, bits/dim and the cost of sampling; a comment lists the others. What is
    still too wide is scaled down. The notes on all tables stand below each. Texts are escaped.
    """
    on_all = [*found.beginning, *found.ending]
    labels = [slug(table.title) for table in found.tables]
    again = {name for name, count in Counter(labels).items() if count > 1}
    labels = [f"{name}-{i}" if name in again else name for i, name in enumerate(labels, 1)]
    is_chosen = bool(found.query.columns)
    return HEAD + "\n".join(
        environment(table if is_chosen else narrowed(table), table, label, on_all)
        for table, label in zip(found.tables, labels, strict=True)
    )


def narrowed(table: Table) -> Table:
    """Return a table with those of its columns for which a column of a paper has room."""
    places = [
        place
        for place, col in enumerate(table.columns)
        if col.name in IN_PAPER or is_first(col) or not (is_metric(col.name) or col.name in MEASURES)
    ]
    lines = [line._replace(entries=[line.entries[place] for place in places]) for line in table.lines]
    return table._replace(columns=[table.columns[place] for place in places], lines=lines)


def is_first(col: Column) -> bool:
    """Return True for a column of one of the metrics that stand first in tables."""
    return is_metric(col.name) and MetricName.parse(col.name).kind in FIRST


def environment(table: Table, whole: Table, label: str, on_all: list[str]) -> str:
    """Return the LaTeX of one data set's table, with its footnotes below it.

    whole: with the columns that it lacks, which a comment names; label: behind tab:, for references to it;
    on_all: notes on all tables, which stand below its own.
    """
    right = ["r" if is_number else "l" for is_number in table.is_number]
    rows = [map(head, table.columns), *table.texts(escape, "\\textbf{{{}}}")]
    titles, *body = [f"{' & '.join(row)} \\\\" for row in rows]
    below = "\\\\\n".join(map(note, [*notes(table), *on_all]))
    shown = {col.name for col in table.columns}
    others = ", ".join(col.title for col in whole.columns if col.name not in shown)
    return (
        (f"% not shown, see --columns: {in_one_line(others)}\n" if others else "")
        + f"\\begin{{table}}[t]\n\\centering\n"
        f"\\caption{{{escape(caption(table))}}}\n\\label{{tab:{label}}}\n"
        f"\\resizebox{{{WIDTH}}}{{!}}{{%\n"
        f"\\begin{{tabular}}{{@{{}}{''.join(right)}@{{}}}}\n\\toprule\n{titles}\n\\midrule\n"
        + "\n".join(body)
        + "\n\\bottomrule\n\\end{tabular}}\n\n\\smallskip\n"
        f"\\begin{{minipage}}{{\\columnwidth}}\\footnotesize\n{below}\n\\end{{minipage}}\n\\end{{table}}\n"
    )


def caption(table: Table) -> str:
    """Return the caption of a table: its data, number of seeds and of samples, budget and device."""
    seeds = sorted({len(line.seeds) for line in table.lines})
    count = "one seed per row" if seeds == [1] else f"means over {' to '.join(map(str, seeds))} seeds"
    name = next((MetricName.parse(col.name) for col in table.columns if is_metric(col.name)), None)
    samples = [] if name is None or name.n is None else [f"n = {name.n:,} samples ({name.protocol})"]
    allowed = [f"{'budget' if len(table.budgets) == 1 else 'budgets'} {some(table.budgets)}"]
    device = [f"device {written(x)}" for x in distinct(present(cells(table.runs.frame, "device")))]
    return (
        f"Generative models of {table.title or 'images'}: {'; '.join([count, *samples, *allowed, *device])}."
    )


def slug(title: str) -> str:
    """Return the label of a title: letters, digits and hyphens alone, as every package takes them."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "models"


def head(col: Column) -> str:
    """A column's title with the mark of its footnote and its arrow."""
    mark = f"\\textsuperscript{{{col.mark}}}" if col.mark else ""
    return f"{escape(col.title)}{mark} {escape(col.arrow)}".rstrip()


def note(text: str) -> str:
    """A footnote with its mark in front."""
    found = re.match(r"\[(\d+)\] (.*)", text, re.DOTALL)
    return f"\\textsuperscript{{{found[1]}}}{escape(found[2])}" if found else escape(text)


def escape(text: str) -> str:
    """Text that LaTeX sets as it is, in one line."""
    return "".join(SPECIAL.get(letter, letter) for letter in in_one_line(" ".join(text.split())))
