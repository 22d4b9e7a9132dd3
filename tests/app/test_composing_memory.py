"""Compositions that remember what they parsed and merged are those of plain Hydra, and so are messages."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import omegaconf
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.grammar_visitor import GrammarVisitor
from yaml import YAMLError

from genbench.app import composing_memory
from genbench.app.composing_memory import (
    ComposedJobs,
    load,
    quick_load,
    replaced,
    same_choices,
)
from genbench.app.config_copies import PLAIN
from genbench.app.run_names import without_hydra
from tests.conftest import ROOT

CREATE = classmethod(lambda kind, config_loader=None: kind(create_functions(), config_loader))
CHOICES = (
    ("model=ddpm", "loss=hybrid"),
    ("model=unclip", "data=captioned", "text=small"),
    ("experiment=faces64", "model=vae", "data.root=nowhere"),
    ("sweep=schedule_x_loss", "optim.lr=1e-3"),
)


@contextmanager
def plain() -> Iterator[None]:
    """Have Hydra and OmegaConf compose as they do without any memory, inside the block."""
    with ExitStack() as stack:
        stack.enter_context(replaced(OmegaConf, "load", staticmethod(load)))
        for place in (omegaconf.base, omegaconf._utils):
            stack.enter_context(replaced(place, "parse", composing_memory.parse))
        slow = composing_memory.interpolation_map
        stack.enter_context(replaced(defaults_list, "_create_interpolation_map", slow))
        stack.enter_context(replaced(OverridesParser, "create", CREATE))
        stack.enter_context(replaced(GrammarVisitor, "visitConfigValue", composing_memory.plain_value))
        for kind, own in PLAIN.items():
            stack.enter_context(replaced(kind, "__deepcopy__", own))
        stack.enter_context(replaced(OverridesParser, "parse_rule", composing_memory.plain_rule))
        yield


def composed(words: tuple[str, ...]) -> str:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return OmegaConf.to_yaml(compose("config", overrides=list(words), return_hydra_config=True))


@pytest.mark.parametrize("words", CHOICES)
def test_a_composition_is_that_of_plain_hydra_each_time(words: tuple[str, ...]) -> None:
    quick = [composed(words) for _ in range(2)]
    with plain():
        assert quick == [composed(words)] * 2


def test_a_file_that_has_changed_is_read_anew_and_what_was_read_is_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    for content in ("a: [1, 2]\n", "a: [3]\n"):
        file.write_text(content)
        for _ in range(2):
            with file.open() as opened:
                found = quick_load(opened)
            assert list(found.a) == ([1, 2] if "1" in content else [3])
            found.a.append(9)


@pytest.mark.parametrize("content", ["a: [1\n", "a: 1\na: 2\n"])
def test_a_file_that_cannot_be_read_is_refused_in_the_same_words(tmp_path: Path, content: str) -> None:
    file, messages = tmp_path / "broken.yaml", []
    file.write_text(content)
    for reader in (load, quick_load):
        with file.open() as opened, pytest.raises(YAMLError) as refused:
            reader(opened)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert "broken.yaml" in messages[0]


JOBS = (
    *(["model=ddpm", f"seed={seed}", f"optim.lr={rate}"] for seed, rate in ((0, 0.1), (1, 0.2))),
    ["model=gan", "seed=0", "+experiment=null"],
    ["model=gan", "seed=3", "~tuned"],
    ["model=ddpm", "scores=[fid,kid]", "hydra.verbose=true"],
    ["model=ddpm", "scores=[fid]", "seed=4"],
    ["model=ddpm", "optim.betas=[0.5,0.9]", "scores={a:1}"],
)


def test_jobs_that_choose_the_same_options_share_them_and_nothing_else() -> None:
    """Each of them has the configuration of plain Hydra, whatever was composed before it, or its error."""

    def answer(words: list[str]) -> str:
        try:
            return composed(tuple(words))
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    with plain():
        expected = [answer(words) for words in JOBS]
    with same_choices():
        assert [answer(words) for words in (*JOBS, *JOBS)] == [*expected, *expected]
    assert len({*expected}) == len(JOBS)


def test_what_a_job_changes_in_its_configuration_does_not_reach_the_next_one() -> None:
    with same_choices(), initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        first = compose("config", overrides=["model=ddpm"])
        OmegaConf.update(first, "optim.lr", 99)
        assert compose("config", overrides=["model=ddpm", "seed=1"]).optim.lr != 99


def test_options_are_found_anew_once_the_jobs_of_a_sweep_are_composed(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "config.yaml").write_text("defaults:\n  - group: a\n")
    found = []
    for value in (1, 2):
        (tmp_path / "group" / "a.yaml").write_text(f"key: {value}\n")
        with same_choices(), initialize_config_dir(str(tmp_path), version_base="1.3"):
            found += [compose("config").group.key, compose("config").group.key]
    assert found == [1, 1, 2, 2]


def test_an_option_that_must_be_chosen_is_asked_for_although_the_sweep_itself_went_without(
    tmp_path: Path,
) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "a.yaml").write_text("key: 1\n")
    (tmp_path / "config.yaml").write_text("defaults:\n  - group: ???\n")
    with same_choices(), initialize_config_dir(str(tmp_path), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        for _ in range(2):
            loader.load_configuration("config", [], RunMode.MULTIRUN)
            with pytest.raises(ConfigCompositionException, match="You must specify 'group'"):
                loader.load_configuration("config", [], RunMode.RUN)


def test_a_job_that_was_composed_for_its_check_is_not_composed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        plain_loader = GlobalHydra.instance().config_loader()
        assert isinstance(plain_loader, ConfigLoaderImpl)
        master = plain_loader.load_configuration("config", [], RunMode.RUN)
        loader, words = ComposedJobs(plain_loader), ["model=gan", "seed=3"]
        checked, without = loader.composed(master, words)
        expected = plain_loader.load_sweep_config(master, words)
        assert OmegaConf.to_yaml(without) == OmegaConf.to_yaml(without_hydra(expected))
        OmegaConf.update(checked, "optim.lr", 99)  # as building its objects may
        with monkeypatch.context() as patched:
            patched.setattr(config_loader_impl, "create_defaults_list", None)
            started = loader.load_sweep_config(master, words)
        again = loader.load_sweep_config(master, words)
    for each in (started, again):
        assert isinstance(each, DictConfig)
        assert OmegaConf.to_yaml(each) == OmegaConf.to_yaml(expected)
        assert OmegaConf.is_struct(each)


def test_a_word_is_parsed_once_unless_its_value_is_drawn_as_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[str] = []

    def watched(parser: OverridesParser, s: str, rule_name: str) -> object:
        parsed.append(s)
        return plain_rule(parser, s, rule_name)

    plain_rule = composing_memory.plain_rule
    monkeypatch.setattr(composing_memory, "plain_rule", watched)
    drawn, fixed = "seed=shuffle([1,2,3])", "seed=[7654321]"
    for _ in range(3):
        found = OverridesParser.create().parse_overrides([fixed, drawn])
        assert found[0].value() == [7654321]
        assert sorted(found[1].value()) == [1, 2, 3]
    assert parsed == [fixed, drawn, drawn, drawn]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "${a}",
            "${a.b}",
            "${ a.b }",
            "${a[b]}",
            "${.c}",
            "${a.list.0}",
            "${list}",
            "x${a.b}",
            "${a.b}${c}",
        ),
        *("${missing}", "${a.missing}", "${loop}", "${loops}", "${ask}", "${a.none}", "${a.b}<EOF>", "${1a}"),
        *("${a.${name}}", "${oc.env:GENBENCH_UNSET,none}", "\\${a.b}", "${unknown:a}", "${a.b.deep}"),
    ],
)
def test_a_reference_is_what_plain_omegaconf_resolves_it_to(text: str) -> None:
    def answer() -> object:
        tree = {"a": {"b": 1, "none": None, "list": [2, "${c}"]}, "c": "${a.b}", "name": "b", "ask": "???"}
        cfg = OmegaConf.create(tree | {"list": "${a.list}", "loops": {"own": "${loops}"}, "1a": 3})
        try:
            cfg.loop = text
            return OmegaConf.to_container(cfg, resolve=True)["loop"]
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    quick = answer()
    with plain():
        assert quick == answer()
