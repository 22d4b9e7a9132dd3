"""Scenes of two or three objects on a grid of 2 x 2 places, and the captions that describe them: from a scene
to its wordings, and from a caption to what it demands of an image, without doubt.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise, permutations
from typing import NamedTuple

__all__ = [
    "ITEMS",
    "PLACES",
    "SIZES",
    "Demand",
    "Satisfied",
    "Scene",
    "Thing",
    "Wanted",
    "describe",
    "has_held_out",
    "held_out_combinations",
    "parse",
    "satisfied",
]

ITEMS = {
    "digits": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "fashion_mnist": (
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
}  # fmt: skip
"""Items by the set that their images come from: the words of its classes, in their order."""
PLACES = ("top left", "top right", "bottom left", "bottom right")
SIZES = ("small", "big")
SYNONYMS = {"small": ("small", "little"), "big": ("big", "large")}
RELATIONS = {
    (1, 0): ("above", "over"),
    (-1, 0): ("below", "under"),
    (0, 1): ("to the left of", "left of"),
    (0, -1): ("to the right of", "right of"),
    (1, 1): ("above and to the left of",),
    (1, -1): ("above and to the right of",),
    (-1, 1): ("below and to the left of",),
    (-1, -1): ("below and to the right of",),
}
"""Rows and columns from the first object to the second -> words that stand between them."""
HELD_OUT = 10  # one combination of ten is never trained on
SIZED = 0.6  # probability that a caption names the size of an object
BETWEEN = r"(?:, and |, | and )"


class Thing(NamedTuple):
    """An object of a scene: the number of its item (0 to 9), and its size, 0 for small and 1 for big."""

    item: int
    size: int


Scene = tuple[Thing | None, ...]
"""What stands at each of the four places, row by row: an object, or nothing."""


class Wanted(NamedTuple):
    """An object that a caption names: the number of its item, and its size, None where it names none."""

    item: int
    size: int | None

    def is_met_by(self, thing: Thing | None, *, sized: bool = True) -> bool:
        """Return True where an object is of this item and, unless `sized` is False, of this size."""
        if thing is None or thing.item != self.item:
            return False
        return not sized or self.size is None or thing.size == self.size


@dataclass(frozen=True)
class Demand:
    """All that a caption says: these objects and no others, in one of these arrangements.

    items: the key of `ITEMS` that its words belong to. objects: in the order of the caption. arrangements:
    each gives the place (0 to 3) of every object; a caption of places has one, "above" has one for each
    column.
    """

    items: str
    objects: tuple[Wanted, ...]
    arrangements: tuple[tuple[int, ...], ...]

    @property
    def has_held_out(self) -> bool:
        """True where it asks for a combination that no training scene has. All arrangements agree on it,
        since a combination is a relation, which a caption states or implies.
        """
        placed = zip(self.arrangements[0], self.objects, strict=True)
        return any_held_out(self.items, sorted((place, wanted.item) for place, wanted in placed))


class Satisfied(NamedTuple):
    """Parts of a demand that a scene meets, from the weakest to the strongest statement."""

    objects: bool
    """The items are those of the caption, each as often as it is named."""
    places: bool
    """Besides, each item stands where the caption says."""
    sizes: bool | None
    """The items are right, and so are the sizes that the caption names; None where it names none."""
    right: bool
    """Everything is right at once, so that each size is that of the object at its place."""


def satisfied(scene: Scene, demand: Demand) -> Satisfied:
    """Compare a scene with what a caption demands: no tolerance, no partial credit within a field."""
    things = [thing for thing in scene if thing is not None]
    wanted = demand.objects
    objects = Counter(thing.item for thing in things) == Counter(each.item for each in wanted)

    def arranged(sized: bool) -> bool:
        return objects and any(
            all(each.is_met_by(scene[place], sized=sized) for each, place in zip(wanted, places, strict=True))
            for places in demand.arrangements
        )

    sizes = None
    if any(each.size is not None for each in wanted):
        # Of two equal items, either may be the big one.
        sizes = objects and any(
            all(each.is_met_by(thing) for each, thing in zip(wanted, order, strict=True))
            for order in permutations(things)
        )
    return Satisfied(objects, arranged(sized=False), sizes, arranged(sized=True))


def has_held_out(scene: Scene, items: str) -> bool:
    """Return True where a scene has a combination that no training scene has."""
    return any_held_out(
        items, [(place, thing.item) for place, thing in enumerate(scene) if thing is not None]
    )


def any_held_out(items: str, placed: Sequence[tuple[int, int]]) -> bool:
    """Return True where one of the pairs of objects, (place, item) each in the order of the places, is held
    out.
    """
    return any(
        is_held_out(items, one, offset(p, q), other) for (p, one), (q, other) in combinations(placed, 2)
    )


@cache
def is_held_out(items: str, one: int, move: tuple[int, int], other: int) -> bool:
    """Return True where a combination, "seven above three" say, is held out: one of ten, by its sha256."""
    return hashlib.sha256(combination(items, one, move, other).encode()).digest()[0] % HELD_OUT == 0


def combination(items: str, one: int, move: tuple[int, int], other: int) -> str:
    """Name a combination of two items in words, such as "seven above three"."""
    return f"{ITEMS[items][one]} {RELATIONS[move][0]} {ITEMS[items][other]}"


def held_out_combinations(items: str) -> list[str]:
    """List the combinations of two items and their relation that occur in no training scene, as
    "seven above three"; a relation is named from the object that stands first, row by row.
    """
    moves, numbers = ((0, 1), (1, -1), (1, 0), (1, 1)), range(len(ITEMS[items]))
    return [
        combination(items, one, move, other)
        for move in moves
        for one in numbers
        for other in numbers
        if is_held_out(items, one, move, other)
    ]


def offset(p: int, q: int) -> tuple[int, int]:
    """Count the rows and columns from place p to place q (0 to 3): (1, 0) where q is just below p."""
    return q // 2 - p // 2, q % 2 - p % 2


def describe(scene: Scene, items: str, below: Callable[[int], int]) -> str:
    """Write one of the captions of a scene, which a random choice picks among the wordings.

    below: n -> a random whole number from 0 to n - 1. Sizes are named or left out, object by object.
    """
    placed = [(place, thing) for place, thing in enumerate(scene) if thing is not None]
    for last in range(len(placed) - 1, 0, -1):  # in any order
        other = below(last + 1)
        placed[last], placed[other] = placed[other], placed[last]
    places = [place for place, _ in placed]
    named = [phrase(ITEMS[items][thing.item], thing.size, below) for _, thing in placed]
    if below(2):
        return by_places(named, places, below)
    return by_relations(named, places, below)


def phrase(word: str, size: int, below: Callable[[int], int]) -> str:
    """Name an object: "a big seven", "an eight"; of the size in some captions only."""
    if below(1000) < 1000 * SIZED:
        word = f"{SYNONYMS[SIZES[size]][below(2)]} {word}"
    return f"an {word}" if word[0] in "aeiou" and not word.startswith("one") else f"a {word}"


def by_places(named: Sequence[str], places: Sequence[int], below: Callable[[int], int]) -> str:
    """Write a caption that names the place of each object; named: the objects in words, places: 0 to 3."""
    form = FORMS[below(len(FORMS))]
    parts = [form.format(object=each, place=PLACES[place]) for each, place in zip(named, places, strict=True)]
    if form.startswith("{place}"):
        return ", ".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def by_relations(named: Sequence[str], places: Sequence[int], below: Callable[[int], int]) -> str:
    """Write a caption that says how each object stands to the next one; arguments as for `by_places`."""

    def between(i: int) -> str:
        words = RELATIONS[offset(places[i], places[i + 1])]
        return words[below(len(words))]

    if len(named) == 2:
        if below(3) == 0:
            return f"{between(0)} {named[1]} is {named[0]}"
        return f"{named[0]} {between(0)} {named[1]}"
    return f"{named[0]} {between(0)} {named[1]}, which is {between(1)} {named[2]}"


FORMS = (
    "{object} at the {place}",
    "{object} in the {place} corner",
    "at the {place} {object}",
    "{place}: {object}",
)
"""Wordings of one object and its place."""


class Grammar(NamedTuple):
    """Compiled patterns of the captions of one kind of items, of which `parse` tries each on a whole text."""

    forms: tuple[re.Pattern[str], ...]
    """Of one object and its place, one for each of `FORMS`."""
    captions: tuple[re.Pattern[str], ...]
    """Of a whole caption in each of these forms."""
    chain: re.Pattern[str]
    """Of objects that stand to each other: a REL b, or a REL b, which is REL c."""
    turned: re.Pattern[str]
    """REL b is a."""


@cache
def grammar(items: str) -> Grammar:
    """Compile the patterns of the captions of one kind of items, a key of `ITEMS`; once a process."""
    words = "|".join(re.escape(word) for word in sorted(ITEMS[items], key=len, reverse=True))
    sizes = "|".join(word for several in SYNONYMS.values() for word in several)
    thing = rf"an? (?:(?:{sizes}) )?(?:{words})"
    moves = sorted((word for several in RELATIONS.values() for word in several), key=len, reverse=True)
    move = "|".join(moves)

    def form(text: str, number: str) -> str:
        place = "|".join(PLACES)
        return text.format(object=f"(?P<object{number}>{thing})", place=f"(?P<place{number}>{place})")

    parts = [re.sub(r"\?P<\w+>", "?:", form(text, "")) for text in FORMS]
    return Grammar(
        tuple(re.compile(form(text, "")) for text in FORMS),
        tuple(re.compile(rf"{part}(?:{BETWEEN}{part}){{0,3}}") for part in parts),
        re.compile(
            rf"(?P<a>{thing}) (?P<ab>{move}) (?P<b>{thing})(?:, which is (?P<bc>{move}) (?P<c>{thing}))?"
        ),
        re.compile(rf"(?P<ab>{move}) (?P<b>{thing}) is (?P<a>{thing})"),
    )


def parse(caption: str) -> Demand:
    """Read what a caption demands; `describe` writes no caption that this does not read back.

    Capital letters, a full stop at the end and repeated spaces do not matter. Raises ValueError, with
    examples, on a caption of other words or of another form, or one that demands the impossible.
    """
    text = " ".join(caption.lower().split()).removesuffix(".").rstrip()
    for items in ITEMS:
        for objects, arrangements in readings(text, items):
            if not arrangements:
                raise ValueError(f"{caption!r} demands what a grid of 2 x 2 places cannot hold: {EXAMPLES}")
            return Demand(items, tuple(wanted(each, items) for each in objects), arrangements)
    raise ValueError(f"{caption!r} is not a caption of a scene: {EXAMPLES}")


EXAMPLES = (
    "write it as in 'a seven above a small three', 'a big two at the top left and a small five at the bottom "
    "right' or 'a three to the left of an eight, which is below a nine'"
)


def readings(text: str, items: str) -> Iterator[tuple[list[str], tuple[tuple[int, ...], ...]]]:
    """Yield the objects that a caption names, as they are written, with their possible arrangements; nothing
    where its words or its form are others.
    """
    rules = grammar(items)
    for whole, form in zip(rules.captions, rules.forms, strict=True):
        if whole.fullmatch(text):
            found = list(form.finditer(text))
            places = tuple(PLACES.index(each["place"]) for each in found)
            yield [each["object"] for each in found], (places,) if len(set(places)) == len(places) else ()
    if match := rules.turned.fullmatch(text) or rules.chain.fullmatch(text):
        parts = match.groupdict()
        objects = [parts[key] for key in ("a", "b", "c") if parts.get(key)]
        moves = [move_of(parts[key]) for key in ("ab", "bc") if parts.get(key)]
        orders = permutations(range(len(PLACES)), len(objects))
        yield objects, tuple(order for order in orders if [offset(p, q) for p, q in pairwise(order)] == moves)


def move_of(words: str) -> tuple[int, int]:
    """Rows and columns from the first object to the second, of the words between them."""
    return next(move for move, several in RELATIONS.items() if words in several)


def wanted(text: str, items: str) -> Wanted:
    """Read an object as a caption names it, "a small seven", which one of the patterns has matched."""
    _, _, rest = text.partition(" ")
    word, _, item = rest.partition(" ")
    size = next((SIZES.index(size) for size, several in SYNONYMS.items() if word in several), None)
    return Wanted(ITEMS[items].index(rest if size is None else item), size)
