"""From the name of a family to the models that are checked."""

from genbench.app.candidates import Images, find_family

DIGITS = Images((1, 8, 8), 10)


def test_a_model_of_text_is_checked_on_texts_and_says_why_it_has_no_classes() -> None:
    found = find_family(["model=ddpm", "text=small", "network.width=8"], DIGITS, batchwise=False)
    assert list(found.candidates) == ["texts"]
    assert found.candidates["texts"].built.takes_text
    assert "text=small and conditional=true (10 classes)" in found.refused["10 classes"]


def test_any_other_is_checked_without_labels_and_with_them() -> None:
    found = find_family(["model=ddpm", "network.width=8"], DIGITS, batchwise=False)
    assert list(found.candidates) == ["no labels", "10 classes"]
    assert found.refused == {}
