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
    assert r"l1 & \textbf{1.050 $\pm$ 0.071} & $\le$ 3.500" in text
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


def test_a_table_has_a_label_and_a_caption_with_seeds_samples_budget_and_device(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for seed in range(2):
        write(f"a{seed}", seed=seed, choices=result["choices"])
    text = latex(compare(tmp_path, Query()))
    assert r"\label{tab:digits}" in text
    (caption,) = re.findall(r"\\caption\{(.*)\}\n", text)
    for words in ("digits", "means over 2 seeds", "n = 359 samples (digits-cnn-v1)", "60,000 images", "cpu"):
        assert words in caption


def test_labels_are_of_plain_letters_and_each_is_there_once(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for data in ("my_set é", "my set", "digits"):
        write(data, choices=result["choices"] | {"data": data})
    labels = re.findall(r"\\label\{tab:(.*)\}", latex(compare(tmp_path, Query())))
    assert labels == ["digits", "my-set-2", "my-set-3"]


def test_by_default_a_table_fits_a_column_and_names_what_it_leaves_out(tmp_path: Path, write: Write) -> None:
    write("a")
    text = latex(compare(tmp_path, Query()))
    heads = text.split("\\toprule\n")[1].splitlines()[0]
    assert heads.count("&") <= 6
    assert "KID" not in text.replace("% not shown, see --columns: train s, params, KID", "")
    assert r"\resizebox{\ifdim\width>\columnwidth\columnwidth\else\width\fi}{!}" in text
    asked = latex(compare(tmp_path, Query(columns=["kid"])))
    assert "KID" in asked.split("\\toprule\n")[1].splitlines()[0]
    assert "not shown" not in asked


def test_environments_braces_and_cells_are_balanced(tmp_path: Path, write: Write, result: dict) -> None:
    for loss in ("l1", "100% & {more}", "#a_b^c~"):
        write(loss[:2], choices=result["choices"] | {"loss": loss})
    text = re.sub(r"(?m)^%.*\n", "", latex(compare(tmp_path, Query())))
    for name in ("table", "tabular", "minipage"):
        assert text.count(f"\\begin{{{name}}}") == text.count(f"\\end{{{name}}}") == 1
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}")
    (spec,) = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", text)
    body = text.split("\\toprule\n")[1].split("\\bottomrule")[0].replace("\\midrule\n", "")
    for row in body.strip().splitlines():
        assert row.endswith(r" \\")
        assert re.sub(r"\\&", "", row).count("&") == len(spec) - 1
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
