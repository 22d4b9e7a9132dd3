import re
from collections.abc import Callable
from pathlib import Path

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.formats.latex import escape, latex

Write = Callable[..., Path]


def test_a_table_has_rules_arrows_bold_and_foot_notes(tmp_path: Path, write: Write, result: dict) -> None:
    for loss, fids in (("l1", (1.0, 1.1)), ("l2", (9.0, 9.1))):
        for seed, fid in enumerate(fids):
            choices = result["choices"] | {"loss": loss}
            write(f"{loss}{seed}", seed=seed, choices=choices, metrics={"fid[f,n=9,ref=train,ema]": fid})
    text = latex(compare(tmp_path, Query()))
    assert r"\toprule" in text
    assert r"loss & FID\textsuperscript{1} $\downarrow$ &" in text
    assert r"l1 & \textbf{1.050 $\pm$ 0.071} & $\le$ 3.500 &" in text
    assert r"\textsuperscript{1}f,n=9: fid ref=train,ema." in text


def test_every_special_letter_is_escaped() -> None:
    assert escape("a_b & 50% #1 {x} $y$ ~^") == (
        r"a\_b \& 50\% \#1 \{x\} \$y\$ \textasciitilde{}\textasciicircum{}"
    )
    assert (
        escape("\\input{a}\n\n|<b>\x00*")
        == r"\textbackslash{}input\{a\} \textbar{}\textless{}b\textgreater{}\textbackslash{}x00{*}"
    )


def test_a_hostile_name_opens_no_command_no_group_and_no_cell(tmp_path: Path, write: Write) -> None:
    for i in range(2):
        write(f"a{i}", choices={"model": f"\\end{{table}} & \\\\ % {{ $ \n\n {i}"})
    text = latex(compare(tmp_path, Query()))
    rows = [line for line in text.splitlines() if "0258" in line or line.endswith("\\\\")]
    data = [line for line in rows if "textbackslash" in line and " & " in line]
    assert len(data) == 2
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in data}) == 1
    assert text.count(r"\end{table}") == 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
