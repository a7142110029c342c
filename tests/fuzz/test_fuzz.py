"""Thousands of damaged inputs, each in a process with 2 GiB and 10 s: no traceback, no signal, no hang, nothing lost.

A short run is a part of the tests; `make fuzz` makes 20,250 trials and prints how they ended. PARTLY_FUZZ is the number
of trials for each target, PARTLY_FUZZ_SEED their seed; PARTLY_FUZZ_TRIAL makes one of them again, alone.
"""

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from learner.device import choose_device
from tests.fuzz.harness import MEMORY_BYTES, in_process
from tests.fuzz.targets import TARGETS

TRIALS = int(os.environ.get("PARTLY_FUZZ", "8"))
SEED = int(os.environ.get("PARTLY_FUZZ_SEED", "1"))
ONLY = os.environ.get("PARTLY_FUZZ_TRIAL")


BLOCK = 200
"""Trials of one test."""
MOST_WRONG = 5
"""Trials that may end badly before the others are left out: each may take a minute."""
BLOCKS = [(name, first) for first in range(0, 1 if ONLY else TRIALS, BLOCK) for name in TARGETS]


@pytest.mark.parametrize(("name", "first"), BLOCKS, ids=[f"{name} from {first}" for name, first in BLOCKS])
def test_damage_is_refused_with_a_message_and_loses_nothing_good(tmp_path, name, first):
    target = TARGETS[name](tmp_path)
    ends: Counter[str] = Counter()
    wrong = []
    slowest = peak = 0
    for trial in [int(ONLY)] if ONLY else range(first, min(first + BLOCK, TRIALS)):
        rng = np.random.default_rng([SEED, trial, sum(name.encode())])
        what = target.damage(rng)
        end = in_process(target.use)
        target.restore()
        ends[end.how] += 1
        slowest, peak = max(slowest, end.seconds), max(peak, end.peak_kib)
        if not end.is_fine:
            wrong.append(f"PARTLY_FUZZ_TRIAL={trial} ({what}): {end.how} after {end.seconds:.1f} s\n{end.detail}")
        if len(wrong) == MOST_WRONG:
            break
    sys.stdout.write(f"{name:<22}{dict(ends)}, slowest {slowest:.1f} s, largest {peak // 1024} MiB\n")
    assert not wrong, f"{len(wrong)} of {sum(ends.values())} trials ended badly; the first:\n" + "\n".join(wrong[:3])


def test_a_trial_has_its_memory_whatever_the_tests_before_have_taken():
    """A thread that cannot start for want of memory is waited for without end: every trial took a minute."""
    taken = np.empty(MEMORY_BYTES + 2**20, dtype=np.uint8)

    def work() -> str:
        with ThreadPoolExecutor() as pool:
            return pool.submit(lambda: "fine").result()

    assert in_process(work, wall_s=20).how == "fine"
    assert "MemoryError" in in_process(lambda: f"{np.ones(MEMORY_BYTES + 2**26, dtype=np.uint8).size}").detail
    del taken


def test_a_trial_has_no_more_than_its_memory_after_tests_that_kept_what_they_freed():
    choose_device("cpu")
    freed = np.ones(2**28, dtype=np.uint8)
    del freed

    assert "MemoryError" in in_process(lambda: f"{np.ones(MEMORY_BYTES + 2**26, dtype=np.uint8).size}").detail
