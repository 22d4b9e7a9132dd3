"""Tables -> LaTeX (booktabs)."""

import re
from collections.abc import Sequence

from genbench.report.columns import Column
from genbench.report.notes import notes
from genbench.report.table import Line, Table
from genbench.report.written import whole
from genbench.runtime.printable import in_one_line

__all__ = ["latex"]

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # a row that begins with one would be an argument of the line break before it
    "]": "{]}",
    "*": "{*}",  # likewise the starred form of it
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
HEAD = "% needs \\usepackage{booktabs}\n"


def latex(tables: Sequence[Table], ending: Sequence[str]) -> str:
    """A table environment a data set, its foot-notes below it."""
    return HEAD + "\n".join(environment(table, ending) for table in tables)


def environment(table: Table, ending: Sequence[str]) -> str:
    """One data set's table."""
    right = [any(line.entries[i].estimate for line in table.lines) for i in range(len(table.columns))]
    rows = [[cell(line, place, col) for place, col in enumerate(table.columns)] for line in table.lines]
    body = "\n".join(f"{' & '.join(row)} \\\\" for row in [*rows])
    below = "\\\\\n".join(map(note, [*notes(table), *ending]))
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{escape(table.title)}}}\n"
        f"\\begin{{tabular}}{{@{{}}{''.join('r' if r else 'l' for r in right)}@{{}}}}\n\\toprule\n"
        f"{' & '.join(map(head, table.columns))} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\n\\smallskip\n"
        f"\\begin{{minipage}}{{\\linewidth}}\\footnotesize\n{below}\n\\end{{minipage}}\n\\end{{table}}\n"
    )


def head(col: Column) -> str:
    """A column's title."""
    mark = f"\\textsuperscript{{{col.mark}}}" if col.mark else ""
    return f"{escape(col.title)}{mark} {escape(col.arrow)}".rstrip()


def cell(line: Line, place: int, col: Column) -> str:
    """One place of the table."""
    entry = line.entries[place]
    shown = escape(whole(entry, col.name))
    return f"\\textbf{{{shown}}}" if entry.is_best else shown


def note(text: str) -> str:
    """A foot-note."""
    found = re.match(r"\[(\d+)\] (.*)", text, re.DOTALL)
    return f"\\textsuperscript{{{found[1]}}}{escape(found[2])}" if found else escape(text)


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(SPECIAL.get(letter, letter) for letter in in_one_line(" ".join(text.split())))
