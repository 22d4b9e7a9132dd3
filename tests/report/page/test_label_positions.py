"""Places of labels, against their laws; those of whole figures are in test_svg."""

import numpy as np

from genbench.report.page.label_positions import LETTER, LINE, OFFSETS, overlaps, place_labels


def test_a_label_without_room_beside_its_point_has_a_leader_that_crosses_no_other() -> None:
    points = np.array([(200.0 + 12 * i, 150.0) for i in range(7)])
    symbols, nothing = np.hstack([points - 6, points + 6]), np.empty((0, 4))
    room = np.array([0, 0, 600, 300])
    found = place_labels(["a name"] * 7, points, symbols=symbols, lines=nothing, room=room)
    assert {label.has_leader for label in found if label} == {False, True}
    wide, boxes = LETTER * len("a name"), []
    for (x, y), label in zip(points, found, strict=True):
        assert label is not None
        left = x + label.x - wide * (1 - label.side) / 2
        boxes.append((left, y + label.y - LINE / 2, left + wide, y + label.y + LINE / 2))
    for i, ((x, y), label) in enumerate(zip(points, found, strict=True)):
        if label and label.has_leader:
            way = np.linspace((x, y), (x + label.x, y + label.y), 50)
            others = np.array([box for k, box in enumerate(boxes) if k != i])
            assert not overlaps(np.hstack([way, way]), others).any()
    assert (abs(np.array([label[:2] for label in found if label])) <= abs(OFFSETS).max()).all()


def test_boxes_overlap_where_they_share_an_area_and_not_where_they_touch() -> None:
    box = np.array([[0.0, 0.0, 2.0, 1.0]])
    others = np.array(
        [[1.0, 0.5, 3.0, 3.0], [2.0, 0.0, 3.0, 1.0], [0.5, 0.2, 0.6, 0.3], [0.0, -2.0, 2.0, -0.5]]
    )
    assert overlaps(box, others).tolist() == [[True, False, True, False]]


def test_a_text_that_is_wider_than_the_room_has_no_place() -> None:
    point, nothing, room = np.array([[50.0, 50.0]]), np.empty((0, 4)), np.array([0, 0, 100, 100])
    found = place_labels(
        ["a" * 20, "a"], np.vstack([point, point]), symbols=nothing, lines=nothing, room=room
    )
    assert found[0] is None
    assert found[1] is not None
    assert not found[1].has_leader
