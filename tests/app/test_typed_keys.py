"""Messages name keys where the user's configuration has them."""

from typing import Any

import pytest

from genbench.app.typed_keys import with_typed_keys

TREE: dict[str, Any] = {
    "model": {
        "latent": 4,
        "encoder": "${network.encoder}",
        "process": "${process}",
        "prior": "${prior_network}",
    },
    "network": {"encoder": {"dropout": 2, "latent": "${model.latent}"}},
    "process": {"pairing": "${pairing}"},
    "pairing": {"solver": {"steps": 0}},
    "solver": {"steps": 25},
    "prior_network": {"_partial_": True, "heads": 3},
}


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("network.dropout is 2", "model.encoder", "network.encoder.dropout is 2"),
        ("network.encoder.dropout is 2", "model.encoder", "network.encoder.dropout is 2"),
        ("network.latent is 0", "model.encoder", "model.latent is 0"),
        ("solver.steps is 0", "model.process.pairing.solver", "pairing.solver.steps is 0"),
        ("solver.steps is 0", "solver", "solver.steps is 0"),
        ("network.heads is 3", "model", "prior_network.heads is 3"),
        ("schedule.T is 0; take a larger one", "model.encoder", "schedule.T is 0; take a larger one"),
        ("network.dropout is 2", "", "network.dropout is 2"),
    ],
)
def test_keys_are_those_of_the_object_at_fault(text: str, key: str, expected: str) -> None:
    assert with_typed_keys(text, TREE, key) == expected
