"""Where networks run, and that training on a CPU does not ask the system for the same memory over and over."""

import platform
import subprocess
import sys

import pytest
import torch

from learner.device import choose_device
from learner.errors import ConfigInvalid

FAULTS = """
import resource
import torch
from learner.device import choose_device

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(64 * 2**20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
assert choose_device("cpu").type == "cpu"
faults()
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_large_tensor_on_the_cpu_is_given_the_pages_of_the_one_before() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 20 * 10, "the system's allocator keeps such pages by itself"
    assert after < 40


def test_the_cpu_can_be_asked_for() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "cpu:x"])
def test_a_device_that_is_not_there_is_named_with_what_to_try(name: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"device={name} .*device=auto"):
        choose_device(name)
