"""Which model for which need: what is recommended, what is left out, and what is not known yet."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.publish.answers import NEEDS, Answer, answer, answers, held_out
from benchmarks.publish.book import Book
from benchmarks.publish.unfit import copying
from tests.publish.made import copied, records


def test_what_was_not_measured_is_said_and_nobody_wins_it(tmp_path: Path) -> None:
    text = answers(Book([], tmp_path, tmp_path))
    assert all(need.need in text for need in NEEDS)
    assert "has the" not in text


def test_an_answer_says_what_real_held_out_images_have(tmp_path: Path) -> None:
    names = {
        "fid[f,n=9,ref=train,ema]": 5.0,
        "fid[f,n=9,ref=train,test]": 0.25,
        "fid[f,n=9,ref=test,ema]": 4.0,
    }
    (record,) = records(gan=[1])
    assert held_out("fid")([{"result": {**record["result"], "metrics": names}}]) == [
        "Real held-out images: FID 0.25."
    ]
    assert held_out("fid")([record]) == []


def tiny_answer(known: Sequence[dict[str, Any]]) -> Answer:
    """The answer for tiny data from records of copies, each with an FID."""
    (tiny,) = (need for need in NEEDS if need.part == "tiny_data")
    metrics = {"metrics": {"fid[f,n=9,ref=train,ema]": 1.0}}
    return answer(tiny, [{**each, "result": {**each["result"], **metrics}} for each in known])


def test_a_model_that_draws_its_100_images_again_is_not_recommended_for_tiny_data() -> None:
    """0.545 of 359 is within what draws of the same share give by chance, of six runs it is not."""
    assert copying(copied("vqvae", [0.02]) + copied("gan", [0.545])).names == ["vqvae"]
    assert copying(copied("gan", [0.545] * 6)).names == ["gan"]
    assert copying(copied("gan", [0.6])).why == ""
    found = tiny_answer(copied("vqvae", [0.02]) + copied("gan", [0.545]))
    assert found.ranked is not None
    assert found.ranked.names == ["gan"]
    assert "copies than of held-out images (40 %): vqvae 98 %." in found.sentence


def test_where_every_model_copies_its_images_the_answer_says_so_and_not_that_nothing_was_measured() -> None:
    found = tiny_answer(copied("vqvae", [0.02]))
    assert found.is_measured
    assert found.ranked is None
    assert "no model that was measured meets it. Left out" in found.sentence
    assert found.places[1:] == ["none", "–"]
    assert not tiny_answer([]).is_measured


def test_the_rule_for_copies_errs_in_five_of_a_hundred_tables() -> None:
    """Tables of four models that copy as often as held-out images seem to, 359 draws each, beside the same
    359 held-out images: one is called a copier in at most 5 % of 2,000 tables, and in some. The bounds are
    five standard errors of a share of 5 %, and 1 %: the four tests share their held-out images, so that
    Holm's correction is on the safe side.
    """
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(2000):
        least, *own = rng.binomial(359, 0.6, size=5) / 359
        contents = [json.dumps({"n": 359, "authentic": x, "held_out_authentic": least}) for x in own]
        known = records(a=[1], b=[1], c=[1], d=[1])
        files = [{"files": {"copies.json": content}} for content in contents]
        wrong += bool(copying([each | file for each, file in zip(known, files, strict=True)]).names)
    assert 0.01 < wrong / 2000 < 0.05 + 5 * (0.05 * 0.95 / 2000) ** 0.5


def test_a_model_that_is_no_better_than_none_is_in_no_ranking() -> None:
    (need,) = (need for need in NEEDS if need.part == "digits_seconds")
    known = records(ddpm=[1], consistency=[1])
    files = [json.dumps({"halves_mse": x, "mean_image_mse": 0.07}) for x in (0.05, 0.08)]
    made = [{**each, "files": {"halves.json": content}} for each, content in zip(known, files, strict=True)]
    found = answer(need, made)
    assert found.ranked is not None
    assert found.ranked.names == ["ddpm"]
    assert found.sentence.endswith("has 0.07. Left out, as it is no better: consistency.")
