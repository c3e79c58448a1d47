"""Objects come out of the arena as they went in, whatever their sizes and their order."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.arena import LARGE, Arena, new_arena


@pytest.fixture(scope="module")
def ends() -> Iterator[tuple[Arena, Arena]]:
    sender = new_arena()
    receiver = Arena(os.dup(sender.descriptor))
    yield sender, receiver
    sender.close()
    receiver.close()


SIZES = st.one_of(st.integers(0, 3 * LARGE), st.sampled_from([LARGE - 1, LARGE, LARGE + 1, 1 << 20, (3 << 20) + 1]))


@given(st.lists(SIZES, max_size=6), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_what_goes_in_comes_out(ends: tuple[Arena, Arena], sizes: list[int], byte: int) -> None:
    sender, receiver = ends
    value = [("text", {"size": size}, bytes([(byte + place) % 256]) * size) for place, size in enumerate(sizes)]
    assert receiver.loads(sender.dumps(value)) == value


def test_large_bytes_do_not_go_through_the_pipe(ends: tuple[Arena, Arena]) -> None:
    sender, receiver = ends
    sent = sender.dumps([bytes(1 << 20), b"small"])
    assert len(sent) < 200
    assert receiver.loads(sent) == [bytes(1 << 20), b"small"]
