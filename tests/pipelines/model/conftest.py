"""One compute thread for the whole chapter: tiny kernels on two threads only wait for each other."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> None:
    torch.set_num_threads(1)
