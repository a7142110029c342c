"""Near-duplicates, groups, splits by group, and what the doctor says about them."""

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.doctor import find_problems
from db.curation.duplicates import find_near_duplicates
from db.curation.groups import group_images
from db.curation.leakage import leaking_images
from db.curation.splitting import split_images
from db.imaging.fingerprints import (
    NEAR_CORRELATION,
    RADIUS,
    hash_thumbnails,
    hash_vectors,
    near_candidates,
    search_tree,
    unit_vectors,
)
from db.records import Split
from tests.builders import add_images, new_image


def texture(seed, size=(160, 120)):
    """A picture with large shapes, unlike any of another seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (7, 9), dtype=np.uint8))
    return coarse.resize(size, Image.BICUBIC)


def variants(image):
    """The same picture as it comes back from other people."""
    caliper = image.copy()
    ImageDraw.Draw(caliper).line((40, 40, 60, 60), fill=255, width=1)
    return {
        "scaled.png": image.resize((300, 225)),
        "small.jpg": image.resize((80, 60)),
        "brighter.png": image.point(lambda value: min(255, int(value * 0.8 + 40))),
        "caliper.png": caliper,
        "worse.jpg": image,
    }


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "set"
    for class_name in ("benign", "malignant"):
        (folder / class_name).mkdir(parents=True)
    for seed in range(8):
        texture(seed).save(folder / "benign" / f"original {seed}.png")
    for name, image in variants(texture(0)).items():
        image.save(folder / ("malignant" if name == "scaled.png" else "benign") / name, quality=40)
    (folder / "benign" / "copy.png").write_bytes((folder / "benign" / "original 1.png").read_bytes())
    return folder


def names(images):
    return {image.path.name for image in images}


def test_copies_and_variants_are_found_and_conflicts_of_class_named(registry, pictures):
    report = import_images(registry, ImportRequest(pictures, "folders"))
    assert report.near_duplicates >= 5 + 1
    findings = {finding.kind: finding for finding in find_problems(registry)}
    assert names(findings["exact_duplicates"].images) == {"copy.png", "original 1.png"}
    near = [finding for finding in find_problems(registry) if finding.kind == "near_duplicates"]
    groups = [names(finding.images) for finding in near]
    assert {"original 0.png", *variants(texture(0))} in groups
    assert len(groups) == 2
    conflict = findings["class_conflict"]
    assert "benign and malignant" in conflict.detail
    assert {"scaled.png", "original 0.png"} <= names(conflict.images)
    (scaled,) = [image.id for image in conflict.images if image.path.name == "scaled.png"]
    assert any(scaled in pair[:2] for pair in conflict.pairs)


def test_a_later_import_is_compared_with_what_is_registered(registry, pictures, tmp_path):
    import_images(registry, ImportRequest(pictures, "folders"))
    (tmp_path / "more" / "benign").mkdir(parents=True)
    texture(3).resize((200, 150)).save(tmp_path / "more" / "benign" / "late.png")
    assert import_images(registry, ImportRequest(tmp_path / "more", "folders")).near_duplicates == 1
    assert import_images(registry, ImportRequest(tmp_path / "more", "folders")).near_duplicates == 0, "found once"


def test_a_search_that_was_cut_goes_on(registry, pictures, monkeypatch):
    import annotator.datasets.import_images

    monkeypatch.setattr(annotator.datasets.import_images, "find_near_duplicates", lambda *a, **k: [])
    import_images(registry, ImportRequest(pictures, "folders"))
    with registry.read() as tx:
        assert tx.duplicates.pairs() == []
    assert len(find_near_duplicates(registry)) >= 6
    assert find_near_duplicates(registry) == []


def test_images_of_an_older_program_are_compared_when_somebody_looks(registry, pictures):
    import_images(registry, ImportRequest(pictures, "folders"))
    expected = len([finding for finding in find_problems(registry) if finding.kind == "near_duplicates"])
    with registry._engine.begin() as connection:
        for table in ("near_duplicates", "thumbnails", "fingerprints"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    found = [finding for finding in find_problems(registry) if finding.kind == "near_duplicates"]
    assert len(found) == expected


def test_pictures_that_show_nothing_are_like_no_other(registry, tmp_path):
    folder = tmp_path / "set" / "normal"
    folder.mkdir(parents=True)
    for level in (0, 7, 255):
        Image.new("L", (50, 40), level).save(folder / f"{level}.png")
    assert import_images(registry, ImportRequest(tmp_path / "set", "folders")).near_duplicates == 0


@given(st.integers(0, 2**32 - 1), st.floats(0, 60))
def test_the_hash_misses_no_near_duplicate(seed, noise):
    """Whatever two thumbnails are: if their correlation is above the limit, the hash lists them as candidates."""
    rng = np.random.default_rng(seed)
    first = np.asarray(texture(seed, (32, 32)), dtype=np.float64)
    second = np.clip(first * rng.uniform(0.5, 1.2) + rng.normal(0, noise, first.shape), 0, 255)
    thumbnails = [array.astype(np.uint8).tobytes() for array in (first, second)]
    hashes = hash_thumbnails(thumbnails)
    if not all(hashes):
        return
    points = hash_vectors(hashes)
    correlation = float(np.prod([1])) * float(unit_vectors(thumbnails)[0] @ unit_vectors(thumbnails)[1])
    listed = (0, 1) in near_candidates(points, search_tree(points))
    assert (
        listed == (np.linalg.norm(points[0] - points[1]) < RADIUS)
        or abs(np.linalg.norm(points[0] - points[1]) - RADIUS) < 1e-3
    )
    if correlation > NEAR_CORRELATION:
        assert listed


def test_of_very_many_alike_each_is_joined_with_some():
    points = np.zeros((300, 16), dtype=np.float32)
    points[:, 0] = 1
    pairs = near_candidates(points, search_tree(points))
    assert len(pairs) == 300 * 33


def test_groups_join_what_shares_a_patient_content_or_picture():
    facts = [(1, "p", "a"), (2, "p", "b"), (3, None, "b"), (4, None, "c"), (5, None, "d"), (6, None, "e")]
    groups = group_images(facts, [(4, 5), (5, 99)])
    assert groups[1] == groups[2] == groups[3] == [1, 2, 3]
    assert groups[4] == groups[5] == [4, 5]
    assert groups[6] == [6]


@given(
    st.lists(st.tuples(st.sampled_from([None, "p", "q", "r"]), st.sampled_from("abcdefgh")), max_size=12),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=5),
)
def test_groups_are_what_can_be_reached(images, near):
    facts = [(number, group, content) for number, (group, content) in enumerate(images)]
    graph = networkx.Graph([(first, second) for first, second in near if max(first, second) < len(facts)])
    for number, group, content in facts:
        graph.add_node(number)
        graph.add_edge(number, f"content {content}")
        graph.add_edges_from([(number, f"group {group}")] if group else [])
    expected = sorted(sorted(set(part) & set(range(len(facts)))) for part in networkx.connected_components(graph))
    groups = group_images(reversed(facts), near)
    assert list(groups.distinct()) == expected
    assert {key: members for members in expected for key in members} == dict(groups)
    assert dict(groups.names()) == {key: str(members[0]) for members in expected for key in members}
    assert groups.members_of([0, 99]) == set(expected[0] if expected else ())
    assert 99 not in groups


def test_a_group_named_like_a_hash_is_no_hash():
    groups = group_images([(1, "a", "x"), (2, None, "a")], [])
    assert groups[1] != groups[2]


def test_look_alikes_stay_together_in_splits(registry, pictures):
    import_images(registry, ImportRequest(pictures, "folders"))
    for seed in range(5):
        split_images(registry, val=0.4, seed=seed)
        with registry.read() as tx:
            splits = {image.path.name: image.split for image in tx.images.select()}
        assert len({splits[name] for name in ("original 0.png", *variants(texture(0)))}) == 1
        assert splits["copy.png"] == splits["original 1.png"]
        assert not [finding for finding in find_problems(registry) if finding.kind == "split_leak"]


def test_a_leak_between_splits_is_found_and_kept_out_of_training(registry):
    ids = add_images(
        registry,
        new_image("a.png", group="p", split=Split.TEST),
        new_image("b.png", group="p", split=Split.TRAIN),
        new_image("c.png", content_hash="sha256:same", split=Split.VAL),
        new_image("d.png", content_hash="sha256:same"),
        new_image("e.png", split=Split.TRAIN),
    )
    with registry.read() as tx:
        assert leaking_images(tx) == ({ids[1]}, {ids[3]})
    leaks = [finding for finding in find_problems(registry) if finding.kind == "split_leak"]
    assert [names(finding.images) for finding in leaks] == [{"a.png", "b.png"}, {"c.png", "d.png"}]
    assert "1 in test, 1 in train" in leaks[0].detail
    split_images(registry)
    with registry.read() as tx:
        assert leaking_images(tx) == (set(), set())
        assert tx.images.get(ids[1]).split is Split.TEST, "the rest of the group follows into test"


def test_files_that_are_gone_or_changed_are_found(registry, pictures):
    import_images(registry, ImportRequest(pictures, "folders"))
    (pictures / "benign" / "original 5.png").unlink()
    texture(77).save(pictures / "benign" / "original 6.png")
    kinds = {finding.kind: names(finding.images) for finding in find_problems(registry)}
    assert kinds["missing_file"] == {"original 5.png"}
    assert "changed_file" not in kinds
    verified = {finding.kind: names(finding.images) for finding in find_problems(registry, verify_files=True)}
    assert verified["missing_file"] == {"original 5.png"}
    assert verified["changed_file"] == {"original 6.png"}
