"""Objects handed to another process, their large byte strings through shared memory.

A pipe copies bytes four times (pickle, into the kernel, out of it, unpickle); shared memory takes two. For 31 MB of
pages in bundles of 1 MB that is 15 ms against 45 ms. The memory is used anew for each object, so the receiver must
have loaded one before the sender writes the next. Only for processes of ours: what arrives is unpickled.
"""

import io
import mmap
import os
import pickle
import struct
import tempfile
import weakref
from collections.abc import Callable
from typing import Any, Final

LARGE: Final = 4096
"""Bytes from which a byte string goes through the arena."""
FIRST_BYTES: Final = 1 << 20
"""What a new arena holds."""
_PROGRESS: Final = struct.Struct("<q")  # at the arena's beginning


class Arena:
    """Shared memory behind a file descriptor, which the other process inherits; it grows with what it is given."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._closing = weakref.finalize(self, os.close, descriptor)
        self._map: mmap.mmap | None = None
        self._used = _PROGRESS.size

    @property
    def progress(self) -> int:
        """A number that one side writes and the other reads, also when the writer is dead."""
        (value,) = _PROGRESS.unpack_from(self._mapped(_PROGRESS.size))
        return int(value)

    @progress.setter
    def progress(self, value: int) -> None:
        _PROGRESS.pack_into(self._mapped(_PROGRESS.size), 0, value)

    def close(self) -> None:
        """Give the memory back; the other process keeps what it has mapped."""
        if self._map is not None:
            self._map.close()
        self._map = None
        self._closing()

    def dumps(self, value: object) -> bytes:
        """`value` for a pipe; its large byte strings are in the arena until the next call."""
        self._used = _PROGRESS.size
        buffer = io.BytesIO()
        _Pickler(buffer, self._put).dump(value)
        return buffer.getvalue()

    def loads(self, data: bytes) -> Any:
        """What `dumps` of the other process was given."""
        return _Unpickler(io.BytesIO(data), self._get).load()

    def _put(self, data: bytes) -> tuple[int, int]:
        place, self._used = self._used, self._used + len(data)
        if self._map is None or self._used > len(self._map):
            os.ftruncate(self.descriptor, max(2 * self._used, FIRST_BYTES))
        self._mapped(self._used)[place : self._used] = data
        return place, len(data)

    def _get(self, place: tuple[int, int]) -> bytes:
        start, size = place
        return self._mapped(start + size)[start : start + size]

    def _mapped(self, size: int) -> mmap.mmap:
        """The memory, `size` bytes at least, mapped again where it has grown."""
        if self._map is None or len(self._map) < size:
            if self._map is not None:
                self._map.close()
            self._map = mmap.mmap(self.descriptor, 0)
        return self._map


def new_arena() -> Arena:
    """An empty arena in anonymous memory; in a temporary file where the system has none."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("gristmill-arena")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, FIRST_BYTES)
    return Arena(descriptor)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, put: Callable[[bytes], tuple[int, int]]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._put = put

    def persistent_id(self, value: object) -> tuple[int, int] | None:
        return self._put(value) if type(value) is bytes and len(value) >= LARGE else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, get: Callable[[tuple[int, int]], bytes]) -> None:
        super().__init__(file)
        self._get = get

    def persistent_load(self, place: tuple[int, int]) -> bytes:
        return self._get(place)
