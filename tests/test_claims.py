"""Verdicts of `benchmarks.claims` on statements of texts, and the page that it makes of runs."""

import copy
import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.claim_list import CLAIMS, Claim
from benchmarks.claim_page import section, values_of
from benchmarks.claim_rates import ladder, rates_tried
from benchmarks.claim_runs import Rows, failures, rows_of_runs, rows_of_sampling
from benchmarks.claim_verdicts import Statement, Verdict, verdicts
from benchmarks.claims import best_of, page
from genbench.report.statistics import estimate
from tests.conftest import ROOT, Command
from tests.report.conftest import FID, RESULT
from tests.toys import TINY

PRESETS = ROOT / "conf" / "sweep"
NOISE = 50.0  # FID of uniform noise in these tests
FEWER = Statement("a", -1, "fid", "b")
EQUAL = 5.0  # mean of rows that are equal in truth


def rows(**values: list[float]) -> Rows:
    """Rows with their values of every measure that these tests compare."""
    measures = ("fid", "recall", "seconds_per_image", "failed")
    return {row: [dict.fromkeys(measures, x) for x in found] for row, found in values.items()}


def verdict(statement: Statement, **values: list[float]) -> Verdict:
    return verdicts([statement], values_of(rows(**values)))[0]


def drawn(rng: random.Random, mean: float = EQUAL, runs: int = 3) -> list[float]:
    return [rng.gauss(mean, 0.5) for _ in range(runs)]


def test_a_difference_far_beyond_the_runs_own_holds_or_is_the_opposite() -> None:
    low, high = [1.0, 1.1, 1.2], [3.0, 3.1, 3.2]
    assert verdict(FEWER, a=low, b=high).words == "holds"
    found = verdict(FEWER, a=high, b=low)
    assert found.words == "the opposite"
    assert found.difference == pytest.approx(2.0)
    assert found.low < 2 < found.high
    assert verdict(FEWER._replace(way=1), a=high, b=low).words == "holds"


def test_rows_that_are_nearly_equal_do_not_hold_and_those_that_vary_much_are_not_decided() -> None:
    assert verdict(FEWER, a=[5.00, 5.01, 4.99], b=[5.01, 4.99, 5.0]).words == "does not hold"
    assert verdict(FEWER, a=[3.0, 5.0, 7.0], b=[4.0, 5.0, 6.5]).words == "not decided at three seeds"


def test_one_run_decides_nothing_and_none_is_not_measured() -> None:
    assert verdict(FEWER, a=[1.0], b=[9.0]).words == "not decided at one seed"
    assert verdict(FEWER, a=[1.0, 1.1]).words == "not measured"


def test_costs_are_compared_by_their_ratio() -> None:
    slower = Statement("a", 1, "seconds_per_image", "b")
    found = verdict(slower, a=[0.10, 0.11, 0.12], b=[0.010, 0.011, 0.012])
    assert found.words == "holds"
    assert found.difference == pytest.approx(10)
    assert 1 < found.low < 10 < found.high
    assert (
        verdict(slower._replace(way=-1), a=[0.10, 0.11, 0.12], b=[0.010, 0.011, 0.012]).words
        == "the opposite"
    )


def test_shares_of_runs_are_compared_by_fishers_exact_test_with_newcombes_interval() -> None:
    """An example of Newcombe 1998, Table II: of 9/10 less 3/10 method 10 gives 0.1705 to 0.8090."""
    found = verdict(Statement("a", 1, "failed", "b"), a=[1.0] * 9 + [0.0], b=[1.0] * 3 + [0.0] * 7)
    assert (found.low, found.high) == pytest.approx((0.1705, 0.8090), abs=1e-4)
    assert found.p == pytest.approx(0.0198, abs=1e-4)  # 2 x 2 table 9, 1, 3, 7
    assert found.words == "holds"
    few = verdict(Statement("a", 1, "failed", "b"), a=[1.0, 0.0, 0.0], b=[0.0, 0.0, 0.0])
    assert few.words == "not decided at three runs"


def test_of_a_claim_whose_rows_are_equal_any_statement_is_decided_in_at_most_5_per_cent() -> None:
    """Also where each row is the better of two, as at its own learning rate."""
    rng, names = random.Random(0), ("b", "c", "d", "e")
    statements = [Statement("a", -1, "fid", name) for name in names]
    for choices in (1, 2):
        wrong = 0
        for _ in range(2000):
            found = {
                name: min((drawn(rng) for _ in range(choices)), key=lambda x: estimate(x).mean)
                for name in ("a", *names)
            }
            words = {x.words for x in verdicts(statements, values_of(rows(**found)))}
            wrong += bool(words & {"holds", "the opposite"})
        assert wrong / 2000 < 0.05


def test_an_effect_that_matters_is_said_not_to_hold_in_at_most_5_per_cent() -> None:
    rng = random.Random(1)
    found = [verdict(FEWER, a=drawn(rng, 0.9 * EQUAL, 4), b=drawn(rng, runs=4)).words for _ in range(2000)]
    assert found.count("does not hold") / 2000 < 0.05
    assert found.count("holds") > found.count("the opposite")


def test_shares_that_are_equal_are_decided_in_at_most_5_per_cent_also_over_a_grid() -> None:
    """A run fails by its learning rate, with chances from 0.1 to 0.9, alike in both rows."""
    rng, wrong = random.Random(2), 0
    for _ in range(500):
        a, b = ([float(rng.random() < p) for p in (0.1, 0.4, 0.6, 0.9) for _ in range(3)] for _ in "ab")
        words = verdict(Statement("a", 1, "failed", "b"), a=a, b=b).words
        wrong += words in ("holds", "the opposite")
    assert wrong / 500 < 0.05


def write_run(folder: Path, overrides: list[str], fid: float, seed: int, score: float = 8.0) -> None:
    """A finished run as records have it."""
    record: dict[str, Any] = copy.deepcopy(RESULT)
    record |= {"run": folder.name, "seed": seed, "identity": folder.name}
    record["metrics"] |= {FID.format("ema"): fid, "is[digits-cnn-v1,n=359,ema]": score}
    (folder / ".hydra").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(record))
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([*overrides, f"seed={seed}"]))


def claim_of(folder: str) -> Claim:
    return next(claim for claim in CLAIMS if claim.folder == folder)


def test_runs_are_named_by_their_overrides_and_scored_against_the_training_split(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"a{seed}", ["model=ddpm", "schedule=cosine"], 1.0 + seed, seed)
    found = rows_of_runs(tmp_path, ["schedule", "loss"])
    assert sorted(run["fid"] for run in found["cosine"]) == [1.0, 2.0, 3.0]
    assert found["cosine"][0]["bits_per_dim"] == 3.5
    assert rows_of_runs(tmp_path / "absent", ["schedule"]) == {}


def test_the_page_has_tables_and_verdicts_and_names_the_commands_of_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.claims.noise_fid", lambda: NOISE)
    for seed, (schedule, fid) in itertools.product(range(3), (("cosine", 1.0), ("linear", 4.0))):
        folder = tmp_path / "claims_schedules" / f"{schedule}{seed}"
        write_run(folder, [f"schedule={schedule}"], fid + 0.1 * seed, seed)
    text, missing = page(tmp_path, [claim_of("claims_schedules"), claim_of("claims_losses")])
    squeezed = re.sub(" +", " ", text)
    assert "| cosine | 3 | 1 | 1.10 ± 0.10 |" in squeezed
    assert "| cosine: lower FID than linear | -3 [-3.23, -2.77] | < 0.001 | holds |" in squeezed
    assert "| cosine: lower FID than geometric | n/a | n/a | not measured |" in squeezed
    assert "Not measured yet." in text
    assert missing[0].startswith("Noise schedules lacks runs of geometric (0 of 3): python main.py -m sweep=")
    assert "sweep=claims_losses" in missing[1]


def test_a_run_failed_where_it_was_stopped_or_draws_noise_or_a_single_class(tmp_path: Path) -> None:
    words = ["model=gan", "optim.lr=0.1"]
    for name, fid, score in (("good", 3.0, 7.0), ("noise", 60.0, 7.0), ("one class", 9.0, 1.5)):
        write_run(tmp_path / name, words, fid, 0, score)
    for name, error in (
        ("stopped", "FloatingPointError: not finite in phase 'gen'"),
        ("killed", "OSError: full"),
    ):
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"status": "failed", "error": error}))
        (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))
    found = failures(tmp_path, ["model"], NOISE)["gan"]
    assert sorted(run["failed"] for run in found) == [0.0, 1.0, 1.0, 1.0]  # the killed one is missing
    for reason in ("stopped", "worse than noise", "collapsed"):
        assert sum(run[reason] for run in found) == 1


def test_each_row_has_its_best_learning_rate() -> None:
    found = best_of(
        rows(**{"eps, 0.001": [3.0, 5.0], "eps, 0.004": [1.0, 2.0], "x0, 0.001": [2.0]}), "optim.lr"
    )
    assert {name: runs[0]["optim.lr"] for name, runs in found.items()} == {"eps": 0.004, "x0": 0.001}


def test_tables_of_sampler_sweeps_are_rows_by_sampler_and_steps(tmp_path: Path) -> None:
    for seed in range(2):
        (tmp_path / f"seed{seed}").mkdir()
        head = f'sampler,sampler.steps,passes,seconds_per_image,"{FID.format("ema")}"'
        (tmp_path / f"seed{seed}" / "table.csv").write_text(f"{head}\nddim,50,50.0,0.01,{seed + 1}.0\n")
    found = rows_of_sampling(tmp_path)
    assert [run["fid"] for run in found["ddim, 50"]] == [1.0, 2.0]
    assert found["ddim, 50"][0]["passes_per_sample"] == 50.0


def labels_of(preset: Path, axes: tuple[str, ...]) -> set[str]:
    """The labels of the rows that the jobs of a preset make."""
    params = yaml.safe_load(preset.read_text())["hydra"]["sweeper"]["params"]
    values = [str(params[axis]).split(",") for axis in axes if axis in params]
    return {", ".join(words) for words in itertools.product(*values)}


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.axes], ids=lambda x: x.title)
def test_the_presets_of_a_claim_make_its_rows_in_its_folder(claim: Claim) -> None:
    files = [
        PRESETS / f"{re.findall(r'sweep=(claims_[a-z_]+)', command)[0]}.yaml" for command in claim.commands
    ]
    made = {label for file in files for label in labels_of(file, tuple(claim.axes))}
    if claim.tuned:
        made = {label.rpartition(", ")[0] for label in made}
    assert made == set(claim.rows)
    assert {yaml.safe_load(file.read_text())["name"] for file in files} == {claim.folder}
    assert {name for x in claim.statements for name in (x.row, x.than)} <= made


def test_no_preset_of_a_claim_is_without_one() -> None:
    named = {name for claim in CLAIMS for text in claim.commands for name in re.findall(r"sweep=(\w+)", text)}
    assert named == {path.stem for path in PRESETS.glob("claims_*.yaml")}


def test_a_claim_without_statements_has_a_table_alone() -> None:
    claim = claim_of("claims_options")
    found = section(claim, rows(**{claim.rows[0]: [1.0, 2.0]}), [], NOISE)
    assert "statement" not in found
    assert "| ddpm (default) | 2" in re.sub(" +", " ", found)


def test_every_row_says_at_how_many_learning_rates_it_was_tried() -> None:
    """As the presets have them; the rate of nadam was chosen from four by other runs."""
    assert ladder(claim_of("claims_parameterizations")) == ["0.001", "0.004"]
    assert rates_tried(claim_of("claims_parameterizations"), "eps") == "best of 2"
    assert rates_tried(claim_of("claims_stability"), "gan") == "all 4"
    assert rates_tried(claim_of("claims_steps"), "ddim, 50") == "1"
    options = claim_of("claims_options")
    assert [rates_tried(options, row) for row in ("ddpm, adam", "ddpm, nadam")] == ["1", "best of 4"]
    found = section(options, rows(**{"ddpm, nadam": [1.0]}), [], NOISE)
    assert "| optim=nadam | 1 | best of 4 |" in re.sub(" +", " ", found)


@pytest.mark.slow
def test_the_page_of_a_small_sweep(main: Command, tmp_path: Path) -> None:
    words = (*(x for x in TINY if "steps" not in x), "sampler.steps=3", "metrics.likelihood_samples=8")
    done = main("-m", "sweep=claims_losses", *words, f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    text, missing = page(tmp_path, [claim_of("claims_losses")])
    assert missing == []
    assert len(re.findall(r"\| (l1|l2|huber) +\| 3 ", text)) == 3
    assert text.count("huber: lower") == 4
    assert "not measured" not in text
