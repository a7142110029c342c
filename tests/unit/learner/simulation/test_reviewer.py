import numpy as np
import pytest

from db.errors import InvalidArgument
from db.records import Box, Location, LocationStatus
from learner.simulation.reviewer import Reviewer, Said, answer

HERE, NEAR, FAR = Box(10, 10, 20, 20), Box(12, 10, 20, 20), Box(60, 60, 20, 20)
EMPTY = Location(LocationStatus.EMPTY)


def there(*boxes):
    return Location(LocationStatus.PRESENT, boxes)


def said(truth, proposal, reviewer=None, seed=0):
    reply = answer(reviewer or Reviewer(1, 20, 10, 2), truth, proposal, np.random.default_rng(seed))
    return reply.said, reply.location, reply.seconds


def test_a_proposal_that_fits_is_accepted_as_it_is():
    # 18 x 20 of 22 x 20: an IoU of .818.
    assert said(there(HERE), (NEAR,)) == (Said.ACCEPTED, there(NEAR), 1)


def test_a_proposal_that_does_not_fit_is_corrected():
    assert said(there(HERE), (FAR,)) == (Said.EDITED, there(HERE), 10)
    assert said(there(HERE), (NEAR,), Reviewer(1, 20, 10, 2, fits_iou=0.9)) == (Said.EDITED, there(HERE), 10)


def test_every_box_takes_its_time():
    assert said(there(HERE, FAR), None) == (Said.DRAWN, there(HERE, FAR), 40)
    assert said(there(HERE, FAR), (HERE,)) == (Said.EDITED, there(HERE, FAR), 20)


def test_that_there_is_nothing():
    assert said(EMPTY, None) == (Said.EMPTY, EMPTY, 2)
    assert said(EMPTY, (HERE,)) == (Said.EMPTY, EMPTY, 2)
    assert said(EMPTY, ()) == (Said.ACCEPTED, EMPTY, 2)
    assert said(there(HERE), ()) == (Said.DRAWN, there(HERE), 20)


def share(of, truth, proposal, reviewer):
    return np.mean([said(truth, proposal, reviewer, seed)[0] is of for seed in range(400)])


def test_some_wrong_proposals_are_accepted():
    reviewer = Reviewer(wrong_accepts=0.25)
    assert share(Said.ACCEPTED, there(HERE), (FAR,), reviewer) == pytest.approx(0.25, abs=0.06)
    assert share(Said.ACCEPTED, there(HERE), (), reviewer) == pytest.approx(0.25, abs=0.06)
    assert share(Said.ACCEPTED, EMPTY, (HERE,), reviewer) == pytest.approx(0.25, abs=0.06)


def test_some_lesions_are_overlooked_where_none_is_shown():
    reviewer = Reviewer(misses=0.25)
    assert share(Said.EMPTY, there(HERE), None, reviewer) == pytest.approx(0.25, abs=0.06)
    assert share(Said.EMPTY, there(HERE), (FAR,), reviewer) == 0


@pytest.mark.parametrize("fields", [{"accept_s": -1}, {"draw_s": float("nan")}, {"misses": 1.5}, {"fits_iou": -0.1}])
def test_values_out_of_range_are_refused(fields):
    with pytest.raises(InvalidArgument):
        Reviewer(**fields)
