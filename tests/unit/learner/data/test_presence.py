"""What the class of an image tells about whether there is anything in it."""

import torch

from learner.data.presence import presence_with_classes


def test_a_class_that_is_always_empty_speaks_for_its_other_images():
    # Class 0: five empty, one unknown. Class 1: five with something, one unknown. Class 2: both. The last has no class.
    classes = torch.tensor([0] * 6 + [1] * 6 + [2] * 7 + [-100])
    located = torch.tensor([0] * 5 + [-1] + [1] * 5 + [-1] + [1] * 5 + [0, -1] + [-1], dtype=torch.int8)
    found = presence_with_classes(located, classes)
    assert found[[5, 11, 18, 19]].tolist() == [0, 1, -1, -1]
    known = located >= 0
    assert (found[known] == located[known]).all()


def test_four_images_are_not_a_rule():
    located = torch.tensor([0, 0, 0, 0, -1], dtype=torch.int8)
    assert presence_with_classes(located, torch.zeros(5, dtype=torch.int64))[4] == -1
