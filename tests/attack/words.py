"""Strategies of command lines, made of the real groups, options, keys and values, and of what is no such."""

from functools import cache

from hydra import compose, initialize_config_dir
from hypothesis import strategies as st
from omegaconf import OmegaConf

from genbench.config.groups import groups, options
from genbench.config.option_folders import CONF
from genbench.records.flatten import flatten

MODELS = tuple(options("model"))
PLAIN = ("runs_dir", "name", "seed", "conditional", "device", "rerun", "retry_failed", "dry_run", "objective")
"""Keys without a group, each with its own rules."""

NUMBERS = (
    *("0", "1", "-1", "2", "3", "7", "1.5", "0.5", "-0.0", "1e-9", "1e9", "1e400", "nan", "inf", "-inf"),
    *("999999999999", "99999999999999999999999", "1_000", "0x10", "1e", "007", "+5", "٣"),
)
WORDS = (
    *("", "null", "true", "false", "none", "None", "auto", "cpu", "cuda", "cuda:7", "mps", "fid", "ema", "~"),
    *("'", '"', "''", '"quoted"', "a b", " ", "\t", "\n", "a\nb", "é", "日本", "\u202e", "\x1b[31m", "\x00"),
    *(
        "[]",
        "{}",
        "[1,2]",
        "[1,[2]]",
        "{a:1}",
        "{a:{b:1}}",
        "[",
        "{",
        "(",
        ")",
        "]",
        "1,2",
        ",",
        "a,b,,",
        "=",
        ":",
    ),
    *(
        "$",
        "${",
        "${seed}",
        "${x}",
        "${oc.env:OMP_NUM_THREADS}",
        "${oc.env:NO_SUCH}",
        "${oc.decode:'{'}",
        "${now:%Y}",
        "\\",
    ),
    *(
        "${genbench.run_dir:}",
        "${hydra:job.num}",
        "${.}",
        "${..}",
        "???",
        "\\${seed}",
        "@",
        "a@b",
        "+",
        "range(3)",
    ),
    *(
        "choice(1,2)",
        "interval(0,1)",
        "glob(*)",
        "glob(",
        "sort(3,1)",
        "shuffle(1,2)",
        "tag(a,interval(0,1))",
    ),
    *("int(1.5)", "json_str('{')", "extend_list(1)", "&a", "*a", "!!python/object/apply:os.mkdir [executed]"),
    *("{_target_:os.mkdir,path:executed}", "{_target_:builtins.exec,_args_:[1]}", "%s", "{{7*7}}", "x" * 300),
    *("a/b", "a/", "./a", ".", "a.b", "-", "--", "-m", "<script>", "|", ";", "#", "!", "?", "*", "`id`"),
)


@cache
def keys_and_values(model: str) -> tuple[tuple[str, object], ...]:
    """The dotted keys of a model's composed configuration, with their values, those of Hydra left out."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"model={model}"])
    return tuple(flatten(OmegaConf.to_container(cfg)).items())


def written(value: object) -> str:
    """A value as a command line has it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    return {None: "null", True: "true", False: "false"}.get(value) or str(value) if is_scalar(value) else "{}"


def is_scalar(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


strange = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(alphabet="a1.,=@~+$:'\"\\{}[]() -_#%é\n", max_size=6),
    st.lists(st.sampled_from(NUMBERS), max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
)
"""Values that fit nowhere, or somewhere else; none begins as an absolute path does."""


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """A word with one or two letters gone, doubled, exchanged or put in."""
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(text)))
        put = draw(st.sampled_from([*"=.,:@~+$'\"\\{}[]()-_ #xA9", "", "\n", "é", "${", "__"]))
        text = text[:at] + put + text[at + draw(st.integers(0, 2)) :]
    return text


@st.composite
def settings_of(draw: st.DrawFn, model: str) -> str:
    """KEY=VALUE of a model's configuration: its own value or that of another key, a strange one, or none."""
    known = keys_and_values(model)
    key, own = draw(st.sampled_from(known))
    if draw(st.integers(0, 9)) == 0:
        key = key.rpartition(".")[0] or key  # a whole node
    other = draw(st.sampled_from(known))[1]
    value = draw(st.one_of(st.just(written(own)), st.just(written(other)), strange, strange))
    before = draw(st.sampled_from(["", "", "", "", "", "+", "++", "~"]))
    return before + draw(
        st.sampled_from([f"{key}={value}"] * 6 + [key, f"{key}@x={value}", f"{key}:{value}"])
    )


@st.composite
def choices_of_groups(draw: st.DrawFn) -> str:
    """GROUP=OPTION, of its own group, of another, or of none."""
    group = draw(st.sampled_from([name for name in groups() if name != "sweep"]))
    source = group if draw(st.integers(0, 3)) else draw(st.sampled_from(groups()))
    option = draw(st.one_of(st.sampled_from(options(source)), st.sampled_from(options(source)), strange))
    return draw(st.sampled_from(["", "", "", "", "+", "~", "++"])) + f"{group}={option}"


plain_keys = st.builds("{}={}".format, st.sampled_from(PLAIN), strange)
hydras = st.sampled_from(
    [
        *(
            "hydra.run.dir=x",
            "hydra.run.dir=",
            "hydra.sweep.subdir=a/b",
            "hydra.job.num=5",
            "hydra.job.chdir=true",
        ),
        *(
            "hydra.output_subdir=x",
            "hydra.verbose=true",
            "hydra.verbose=[a]",
            "hydra.mode=MULTIRUN",
            "hydra=null",
        ),
        *("hydra.callbacks=null", "hydra.callbacks={}", "hydra.sweeper.params=3", "hydra.job.env_set.A=1"),
        *(
            "hydra.job.env_set=5",
            "hydra.searchpath=[x]",
            "hydra.run=null",
            "hydra/sweeper=basic",
            "hydra.x=1",
        ),
        *(
            "hydra.job_logging=null",
            "hydra.job.name=é",
            "~hydra",
            "hydra/job_logging=none",
            "hydra.sweep.dir=5",
        ),
    ]
)
flags = st.one_of(
    st.sampled_from(
        [
            *(["-m"], ["--multirun"], ["--cfg", "job"], ["--cfg", "all"], ["--cfg", "hydra"], ["--cfg", "x"]),
            *(["--cfg"], ["-c", "job", "--resolve"], ["--resolve"], ["-p", "model"], ["--package", "x.y"]),
            *(
                ["--help"],
                ["--info"],
                ["--info", "defaults"],
                ["--info", "x"],
                ["--version"],
                ["--run"],
                ["--"],
            ),
            *(["--config-name", "x"], ["--config-dir", "x"], ["--config-dir", "."], ["--config-path", "x"]),
            *(["--experimental-rerun", "x"], ["--shell-completion"], ["-sc", "x"], ["--hydra-help"], ["-"]),
        ]
    ),
    strange.map(lambda text: [text]),
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """The words of a command of main.py: a model, settings of it, some of them no settings at all."""
    model = draw(st.sampled_from(MODELS))
    parts = st.one_of(settings_of(model), settings_of(model), choices_of_groups(), plain_keys, hydras)
    words = draw(st.lists(parts, min_size=1, max_size=3))
    place = draw(st.integers(0, len(words) - 1))
    if draw(st.integers(0, 4)) == 0:
        words[place] = draw(mutated(words[place]))
    if draw(st.integers(0, 9)) == 0:
        words.append(words[place])
    options = draw(flags) if draw(st.integers(0, 5)) == 0 else []
    return [f"model={model}", *words, *options]
