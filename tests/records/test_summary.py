from typing import Any

from genbench.records.result import Result
from genbench.records.summary import comparable, on_the_way

RESULT: dict[str, Any] = {
    "choices": {"model": "vae", "data": "digits"},
    "metrics": {
        "is[digits-cnn-v1,n=64,ema]": 7.0,
        "is_std[digits-cnn-v1,n=64,ema]": 0.1,
        "fid[digits-cnn-v1,n=64,ref=train,ema]": 1.0,
        "fid[digits-cnn-v1,n=64,ref=test,ema]": 2.0,
        "fid_class[digits-cnn-v1,n=6,class=0,ref=train,ema]": 9.0,
        "fid[digits-cnn-v1,n=64,ref=train,raw]": 3.0,
        "fid[digits-cnn-v1,n=64,ref=train,test]": 4.0,
        "precision[digits-cnn-v1,n=50,k=5,ref=train,ema]": 0.5,
    },
    "likelihood": {"bits_per_dim": 3.5, "bound": "lower", "method": "elbo", "n": 359},
    "reconstruction": {"mse": 0.01, "n": 359},
    "cost": {"images_seen": 512, "training_seconds": 2.0, "passes_per_sample": 1.0},
}


def test_short_keys_are_the_ema_weights_against_the_training_split() -> None:
    short = comparable(Result.of(RESULT))
    scores = {"fid": 1.0, "is": 7.0, "is_std": 0.1, "precision": 0.5}
    assert scores.items() <= short.items()
    assert "fid_class" not in short
    assert (short["family"], short["data"], short["protocol"]) == ("vae", "digits", "digits-cnn-v1,n=64")
    assert RESULT["cost"].items() <= short.items()


def test_bits_stand_under_their_kind_of_bound_too() -> None:
    assert {"bits_per_dim": 3.5, "bound": "lower", "bits_per_dim_lower": 3.5}.items() <= comparable(
        Result.of(RESULT)
    ).items()
    estimate = {"bits_per_dim": 3.5, "bound": "estimate", "method": "ode", "solver_error_bits": -0.02}
    assert comparable(Result.of(RESULT | {"likelihood": estimate}))["solver_error_bits"] == -0.02
    assert "solver_error_bits" not in comparable(Result.of(RESULT))
    nothing = {"bits_per_dim": None, "bound": None, "method": None, "n": None}
    short = comparable(Result.of(RESULT | {"likelihood": nothing, "metrics": {}}))
    assert [key for key in short if key.startswith("bits_per_dim")] == ["bits_per_dim"]
    assert short["protocol"] is None


def test_evaluations_on_the_way_keep_their_prefix_since_they_do_not_compare_with_the_result() -> None:
    values = {f"training/{name}": value for name, value in RESULT["metrics"].items()}
    found = on_the_way({"net/loss": 1.0, "training_seconds": 2.0, **values})
    assert found == {
        "training/fid": 1.0,
        "training/is": 7.0,
        "training/is_std": 0.1,
        "training/precision": 0.5,
    }


def test_validations_have_short_keys_under_a_prefix_of_their_own() -> None:
    values = {"validation/loss": 0.5, "validation/fid[digits-cnn-v1,n=64,ref=validation,ema]": 3.0}
    assert on_the_way(values) == {"validation/fid": 3.0}


def test_the_best_weights_have_short_keys_of_their_own_and_move_none_of_the_last() -> None:
    best = {
        "metrics": RESULT["metrics"] | {"fid[digits-cnn-v1,n=64,ref=train,best]": 0.5},
        "best": {"images_seen": 256, "by": "loss", "value": 0.1},
        "best_likelihood": {"bits_per_dim": 3.0, "bound": "lower", "method": "elbo", "n": 359},
    }
    short = comparable(Result.of(RESULT | best))
    found = {"best_fid": 0.5, "best_bits_per_dim": 3.0, "best_images_seen": 256}
    assert short == comparable(Result.of(RESULT)) | found
