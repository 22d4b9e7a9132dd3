"""The grammar of captions: what is written is read back, and a caption is true of its own scenes alone."""

import random
from collections.abc import Callable, Iterator

import pytest

from genbench.data.scenes import (
    FORMS,
    ITEMS,
    PLACES,
    RELATIONS,
    SYNONYMS,
    Scene,
    Thing,
    describe,
    has_held_out,
    held_out_combinations,
    parse,
    satisfied,
)

N = 1500
A, B, C, D = Thing(7, 0), Thing(3, 1), Thing(8, 0), Thing(7, 1)


def below(seed: int) -> Callable[[int], int]:
    draw = random.Random(seed).random
    return lambda n: int(n * draw())


def scenes(n: int = N) -> Iterator[Scene]:
    """Scenes of one to four objects, each item, size and place as likely as any other."""
    for seed in range(n):
        choose = below(seed)
        places = [0, 1, 2, 3]
        found: list[Thing | None] = [None] * 4
        for _ in range(2 + choose(2)):
            found[places.pop(choose(len(places)))] = Thing(choose(10), choose(2))
        yield tuple(found)


@pytest.mark.parametrize("items", ITEMS)
def test_each_caption_is_read_back_as_its_scene(items: str) -> None:
    """Items, arrangement and the sizes that are named are those of the scene, in every wording."""
    seen = set[str]()
    for seed, scene in enumerate(scenes()):
        caption = describe(scene, items, below(N + seed))
        demand = parse(caption)
        assert demand.items == items
        assert satisfied(scene, demand).right, (caption, scene)
        assert satisfied(scene, demand)[:2] == (True, True)
        assert satisfied(scene, demand).sizes is not False
        assert demand.has_held_out == has_held_out(scene, items)
        seen.add(caption)
    text = "\n".join(seen)
    words = [word for several in (*RELATIONS.values(), *SYNONYMS.values()) for word in several]
    assert all(f" {word} " in f" {text} ".replace("\n", " ") for word in words)
    assert all(word in text for word in (*ITEMS[items], *PLACES, " is a", ", which is ", "corner", ": a"))
    assert len(FORMS) == 4


def changed(scene: Scene) -> Iterator[Scene]:
    """Every scene that differs from one in an item, in a place, or by one object more or less."""
    for place, thing in enumerate(scene):
        if thing is None:
            yield (*scene[:place], Thing(0, 1), *scene[place + 1 :])
            continue
        yield (*scene[:place], None, *scene[place + 1 :])
        yield (*scene[:place], thing._replace(item=(thing.item + 1) % 10), *scene[place + 1 :])


def test_a_scene_with_another_item_or_number_of_objects_satisfies_no_part_of_a_caption() -> None:
    for seed, scene in enumerate(scenes(300)):
        demand = parse(describe(scene, "digits", below(seed)))
        for other in changed(scene):
            assert not any(satisfied(other, demand))


def test_objects_that_change_their_places_are_right_and_stand_wrong() -> None:
    for seed, scene in enumerate(scenes(300)):
        demand = parse(describe(scene, "digits", below(seed)))
        turned = scene[::-1]  # by half a turn: above is below, left is right
        if len({thing.item for thing in scene if thing}) < sum(thing is not None for thing in scene):
            continue  # of two equal items, each may be above the other
        found = satisfied(turned, demand)
        assert (found.objects, found.places, found.right) == (True, False, False)
        assert found.sizes is not False


def test_a_size_counts_where_it_is_named_alone() -> None:
    for seed, scene in enumerate(scenes(300)):
        demand = parse(describe(scene, "digits", below(seed)))
        other = tuple(thing and thing._replace(size=1 - thing.size) for thing in scene)
        named = any(each.size is not None for each in demand.objects)
        found = satisfied(other, demand)
        assert found[:2] == (True, True)
        if not named:
            assert (found.sizes, found.right) == (None, True)
        elif len({thing.item for thing in scene if thing}) == sum(thing is not None for thing in scene):
            assert (found.sizes, found.right) == (False, False)


@pytest.mark.parametrize(
    ("caption", "true", "false"),
    [
        ("a seven above a three", [(A, None, B, None), (None, A, None, B)], [(A, None, None, B)]),
        ("a small seven left of a three", [(A, B, None, None)], [(B, A, None, None), (A, B, C, None)]),
        ("below a seven is a big three", [(A, None, B, None)], [(B, None, A, None), (A, B, None, None)]),
        ("A big  three under a seven.", [(None, A, None, B)], [(A, B, None, None)]),
        ("a seven over a big seven", [(A, None, D, None), (D, None, D, None)], [(D, None, A, None)]),
        ("a three above and to the right of a seven", [(None, B, A, None)], [(B, None, None, A)]),
        ("a seven above a three, which is left of an eight", [(A, None, B, C)], [(A, None, C, B)]),
        ("a seven at the top left", [(A, None, None, None)], [(A, B, None, None), (None, A, None, None)]),
        ("top left: a seven, bottom right: a three", [(A, None, None, B)], [(B, None, None, A)]),
    ],
)
def test_captions_are_true_of_the_scenes_that_a_person_would_choose(
    caption: str, true: list[Scene], false: list[Scene]
) -> None:
    demand = parse(caption)
    assert all(satisfied(scene, demand).right for scene in true)
    assert not any(satisfied(scene, demand).right for scene in false)


def test_of_two_equal_items_each_has_its_own_size() -> None:
    demand = parse("a big seven above a small seven")
    small, big = Thing(7, 0), Thing(7, 1)
    assert satisfied((big, None, small, None), demand) == (True, True, True, True)
    assert satisfied((small, None, big, None), demand) == (True, True, True, False)
    assert satisfied((big, None, big, None), demand) == (True, True, False, False)
    assert satisfied((big, small, None, None), demand) == (True, False, True, False)


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a cat above a dog",
        "a seven",
        "a seven above",
        "seven above three",
        "a seven above a bag",
        "a\0seven",
    ],
)
def test_other_texts_are_no_captions(caption: str) -> None:
    with pytest.raises(ValueError, match=r"is not a caption of a scene: write it as in"):
        parse(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "a one at the top left and a two at the top left",
        "a one above a two, which is above a three",
        "a one above a two, which is below a three",
    ],
)
def test_what_no_grid_can_hold_is_refused(caption: str) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        parse(caption)


@pytest.mark.parametrize("items", ITEMS)
def test_about_a_tenth_of_the_combinations_is_held_out_and_each_item_is_in_others(items: str) -> None:
    """Of 400 combinations; the binomial distribution gives 40 +- 6."""
    found = held_out_combinations(items)
    assert 20 < len(found) < 60
    assert len(set(found)) == len(found)
    for word in ITEMS[items]:
        assert sum(text.startswith(f"{word} ") for text in found) < 20  # of 40
