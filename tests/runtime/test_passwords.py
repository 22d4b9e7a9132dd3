"""Passwords in addresses and words: found, hidden, and refused before a file records them."""

import pytest

from genbench.runtime.passwords import check_words, has_password, is_secret_name, without_passwords


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://user:geheim@host/x", "https://user:***@host/x"),
        ("https://user:ge/heim@host/x", "https://user:***@host/x"),
        ("https://user:ge@heim@host/x", "https://user:***@host/x"),
        ("https://geheim@host/x", "https://***@host/x"),
        ("data.root=s3://KEY:geheim@bucket", "data.root=s3://KEY:***@bucket"),
        ("data.root=user:geheim@host:/x", "data.root=user:***@host:/x"),
        ("https://h/x?token=geheim&n=1", "https://h/x?token=***&n=1"),
        ("https://h/x?n=1&X-Amz-Signature=geheim", "https://h/x?n=1&X-Amz-Signature=***"),
        ("[https://user:geheim@host/x]", "[https://user:***@host/x]"),
    ],
)
def test_a_password_is_hidden_wherever_an_address_has_one(given: str, shown: str) -> None:
    assert without_passwords(given) == shown
    assert has_password(given)
    assert not has_password(shown)
    with pytest.raises(ValueError, match="password") as refused:
        check_words([given])
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("https://host:8080/a@b", "/data/a@2x.png", "git@github.com:x/y", "ssh://git@host/x", "data@a:b=c"),
        *("runs/a?b", "data.root=/d/a:b@c", "sampler.passes=3", "name=monkey=3", "x.key=null"),
        *(
            "/data/key=5",
            "runs/token=a.npz",
            "network.token_width=64",
            "network.key_sizes=[8,16]",
            "x.auth=true",
        ),
        *("hydra.job.env_set.HF_TOKEN=${oc.env:HF_TOKEN}", "seed=1,2", "'--out'"),
    ],
)
def test_what_has_no_password_is_left_as_it_is(text: str) -> None:
    assert without_passwords(text) == text
    check_words([text])


def test_the_name_of_a_variable_tells_a_secret() -> None:
    assert all(map(is_secret_name, ("HF_TOKEN", "api-key", "password", "AWS_SECRET_ACCESS_KEY")))
    assert not any(map(is_secret_name, ("passes", "monkey", "tokenizer", "bypass")))
