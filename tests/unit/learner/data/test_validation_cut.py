from learner.data.validation_cut import cut_validation


def test_groups_stay_whole_and_half_of_them_choose():
    groups = {image: f"patient {image // 3}" for image in range(90)}
    choosing, certifying = cut_validation(groups, range(90), 0)
    assert sorted([*choosing, *certifying]) == list(range(90))
    assert len(choosing) == len(certifying) == 45
    assert {groups[image] for image in choosing}.isdisjoint(groups[image] for image in certifying)


def test_names_of_groups_and_images_elsewhere_change_nothing_but_the_seed_does():
    groups = {image: str(image // 2) for image in range(60)}
    wanted = [image for image in range(60) if image % 5]
    cut = cut_validation(groups, wanted, 3)
    assert cut_validation({image: f"x{name}" for image, name in groups.items()}, wanted, 3) == cut
    assert cut_validation(groups, wanted[::-1], 3) == (cut[0][::-1], cut[1][::-1])
    assert cut_validation(groups, wanted, 4) != cut


def test_an_odd_group_chooses_and_nothing_is_cut_into_nothing():
    assert cut_validation({1: "a", 2: "a"}, [1, 2], 0) == ([1, 2], [])
    assert cut_validation({}, [], 0) == ([], [])
    choosing, certifying = cut_validation({1: "a", 2: "b", 3: "c"}, [1, 2, 3], 0)
    assert (len(choosing), len(certifying)) == (2, 1)
