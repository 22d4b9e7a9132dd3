"""Tables -> LaTeX (booktabs)."""

import re
from collections.abc import Sequence

from genbench.report.columns import Column
from genbench.report.footnotes import notes
from genbench.report.numbers import whole
from genbench.report.table import Table
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
    """Return a table environment for each data set, its footnotes and those of `ending` below it."""
    return HEAD + "\n".join(environment(table, ending) for table in tables)


def environment(table: Table, ending: Sequence[str]) -> str:
    """One data set's table."""
    places = list(zip(*(line.entries for line in table.lines), strict=True))
    right = ["r" if any(x.estimate for x in col) else "l" for col in places]
    rows = []
    for line in table.lines:
        texts = [escape(whole(x, col.name)) for x, col in zip(line.entries, table.columns, strict=True)]
        rows.append(
            [f"\\textbf{{{t}}}" if x.is_best else t for t, x in zip(texts, line.entries, strict=True)]
        )
    body = "\n".join(f"{' & '.join(row)} \\\\" for row in rows)
    below = "\\\\\n".join(map(note, [*notes(table), *ending]))
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{escape(table.title)}}}\n"
        f"\\begin{{tabular}}{{@{{}}{''.join(right)}@{{}}}}\n\\toprule\n"
        f"{' & '.join(map(head, table.columns))} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\n\\smallskip\n"
        f"\\begin{{minipage}}{{\\linewidth}}\\footnotesize\n{below}\n\\end{{minipage}}\n\\end{{table}}\n"
    )


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
