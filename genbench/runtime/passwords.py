"""Passwords in what a user gives: found before a file records them, and hidden before a terminal shows them.

A command, its values and its paths are written into the files of a run, which people publish.
"""

import re
from collections.abc import Iterable

__all__ = ["check_words", "has_password", "is_secret_name", "without_passwords"]

SECRET = {
    *("KEY", "KEYS", "APIKEY", "TOKEN", "TOKENS", "SECRET", "SECRETS", "AUTH"),
    *("PASS", "PASSWD", "PASSWORD", "PASSWORDS", "CREDENTIAL", "CREDENTIALS"),
}
"""Segments in the names of keys and variables that hold a secret, such as in HF_TOKEN."""
PASSWORD = re.compile(
    r"(?P<before>//[^\s/@:]*:)(?!\d+/)[^\s'\",\]]+(?=@)"  # https://user:password@host, but no port
    r"|(?P<scheme>https?://)[^\s/@:]+(?=@)"  # https://token@host
    r"|(?P<user>(?:^|(?<=[\s'\"=,\[]))[^\s/@:'\"=,\[]+:)[^\s/@]+(?=@[\w.-]+)"  # user:password@host
    r"|(?P<query>[?&;][^\s=&;#]*(?:token|secret|passw|pwd|sig|credential|auth|key)[^\s=&;#]*=)[^\s&;#'\",]+",
    re.IGNORECASE,
)
"""Places of a password in an address, each with the part that stands before it."""
SETTING = re.compile(
    r"[+-]*(?:[\w/@-]+\.)*(?P<name>[\w-]+)=(?!(?:null|true|false|[\[\]\d.,e+-]+)\Z)(?P<value>.+)", re.DOTALL
)
"""A word KEY=VALUE of a command, with the last name of the key: no path such as /data/key=a, and no number,
as that of network.token_width=64.
"""
REMEDY = "leave it out, since the files of a run would record it"
OF_HYDRA = f"{REMEDY}; name a variable of the environment that holds the value: ${{oc.env:NAME}}"


def without_passwords(text: str) -> str:
    """Return text with *** in the place of each password of an address: https://user:***@host/x.
    So are tokens before an @ and the values of keys such as ?token= or &X-Amz-Signature=.
    """
    return PASSWORD.sub(lambda found: f"{found[found.lastgroup or 0]}***", text)


def has_password(text: str) -> bool:
    """Return True for text with an address that holds a password, a token or a signature."""
    return without_passwords(text) != text


def is_secret_name(name: str) -> bool:
    """Return True for the name of a key or of a variable that holds a secret, such as HF_TOKEN or api-key."""
    return not SECRET.isdisjoint(re.split(r"[_-]", name.upper()))


def check_words(words: Iterable[str]) -> None:
    """Raise ValueError where a word of a command line holds a password, in an address or as KEY=VALUE.
    The message shows the word without it.
    """
    for word in words:
        remedy = OF_HYDRA if word.lstrip("+").startswith("hydra") else REMEDY
        if has_password(word):
            raise ValueError(f"{without_passwords(word)} holds a password: {remedy}")
        found = SETTING.fullmatch(word)
        if "hydra.job.env_set" in word:
            continue  # a variable of the jobs, which has another remedy
        if found and is_secret_name(found["name"]) and not found["value"].startswith("${oc.env:"):
            raise ValueError(f"{found['name']}=*** is a password: {remedy}")
