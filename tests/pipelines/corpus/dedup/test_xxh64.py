import numpy as np
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.dedup.xxh64 import xxh64


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 40), st.integers(0, 40))
def test_equals_the_xxhash_package(data: bytes, before: int, after: int) -> None:
    array = np.frombuffer(b"\xaa" * before + data + b"\x55" * after, np.uint8)
    value = int(xxh64(array, before, before + len(data))) if array.size else int(xxh64(np.zeros(1, np.uint8), 0, 0))
    assert value == xxhash.xxh64_intdigest(data)
