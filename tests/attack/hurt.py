"""Strategies of damage: bytes that are cut, flipped or inserted, and objects of JSON with other values."""

from typing import Any

from hypothesis import strategies as st

__all__ = ["changed", "cut_or_flipped"]

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        1.5,
        1e308,
        10**30,
        10**400,
        float("nan"),
        float("inf"),
        "",
        "a",
        "nan",
        "inf",
    ),
    *(
        [],
        {},
        [1],
        {"a": 1},
        [[]],
        "\ud800",
        "\x1b[2J",
        "<script>",
        "{{7*7}}",
        "${seed}",
        "${oc.env:HOME}",
        "a|b\n",
    ),
    *(
        "x" * 5000,
        "../..",
        "/etc/passwd",
        "é",
        "&lt;",
        "\u202e",
        "%s",
        "fid[f,n=1,ref=train,ema]",
        "done",
        "_target_",
    ),
    {"_target_": "os.mkdir", "path": "executed"},
    {"_target_": "builtins.eval", "_args_": ["1"]},
)


@st.composite
def cut_or_flipped(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with one to three places cut off, flipped, filled with zeros or inserted."""
    for _ in range(draw(st.integers(1, 3))):
        at, size = (
            draw(st.integers(0, max(len(content) - 1, 0))),
            draw(st.sampled_from([1, 1, 2, 4, 16, 400])),
        )
        match draw(st.integers(0, 4)):
            case 0:
                content = content[:at]
            case 1:
                bit = 1 << draw(st.integers(0, 7))
                content = (
                    content[:at] + bytes(byte ^ bit for byte in content[at : at + 1]) + content[at + 1 :]
                )
            case 2:
                content = content[:at] + bytes(len(content[at : at + size])) + content[at + size :]
            case 3:
                content = content[:at] + draw(st.binary(max_size=8)) + content[at:]
            case _:
                content = content[:at] + b"\xff" * size + content[at + size :]
    return content


@st.composite
def changed(draw: st.DrawFn, tree: Any) -> Any:
    """A tree of JSON in which one node is another value, gone, renamed, wrapped, or doubled."""
    if isinstance(tree, dict) and tree and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(tree)))
        match draw(st.integers(0, 9)):
            case 0:
                return {name: node for name, node in tree.items() if name != key}
            case 1:
                name = draw(st.one_of(st.text(max_size=5), st.sampled_from([str(odd)[:99] for odd in ODD])))
                return {**{k: v for k, v in tree.items() if k != key}, name: tree[key]}
            case _:
                return tree | {key: draw(changed(tree[key]))}
    if isinstance(tree, list) and tree and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(tree) - 1))
        return [*tree[:place], draw(changed(tree[place])), *tree[place + draw(st.integers(0, 1)) :]]
    return draw(st.one_of(st.sampled_from(ODD), st.just([tree]), st.just({"a": tree}), st.just(str(tree))))
