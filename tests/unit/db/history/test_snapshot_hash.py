from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from db.history.snapshot_hash import EMPTY_STATE, ImageState, hash_state, update_state
from db.records import Box


def state(n, **changes):
    made = ImageState(f"{n}.png", f"sha256:{n}", 9, 9, "benign", None, None, "unknown", (), None, None, None, None)
    return replace(made, **changes)


@given(st.permutations(range(6)))
def test_the_order_does_not_matter(order):
    images = [state(n) for n in range(6)]
    assert update_state(EMPTY_STATE, [], [images[n] for n in order]) == update_state(EMPTY_STATE, [], images)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["benign", "malignant", None])), max_size=12))
def test_step_by_step_is_the_same_as_all_at_once(changes):
    known = {n: state(n) for n in range(4)}
    total = update_state(EMPTY_STATE, [], known.values())
    for n, class_name in changes:
        new = replace(known[n], class_name=class_name)
        total = update_state(total, [known[n]], [new])
        known[n] = new
    assert total == update_state(EMPTY_STATE, [], known.values())


def test_every_fact_counts():
    changes = [
        {"uri": "b"}, {"content_hash": "x"}, {"width": 1}, {"height": 1}, {"class_name": None}, {"group": "g"},
        {"split": "test"}, {"status": "empty"}, {"boxes": (Box(1, 2, 3, 4),)}, {"mask_hash": "m"},
        {"source": "drawn"}, {"reviewer": "ann"}, {"run_id": 1},
    ]  # fmt: skip
    hashes = {hash_state(update_state(EMPTY_STATE, [], [state(0, **change)])) for change in ({}, *changes)}
    assert len(hashes) == len(changes) + 1


def test_the_address_is_the_same_on_every_machine_and_in_every_version():
    # Worked out once; if this changes, snapshots of existing registries cannot be found any more.
    images = [state(1, boxes=(Box(1.5, 2, 3, 4),), status="present", source="imported"), state(2)]
    assert hash_state(update_state(EMPTY_STATE, [], images)) == (
        "sha256:f88fa9a301dbc7e309316280481bbe7e53a855d6aac8f3ef9f4817a414f819d5"
    )
