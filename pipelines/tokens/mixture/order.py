"""The order of examples as arithmetic: example number -> (stream, epoch, unit), and back.

1. Blocks of `block_size` examples. `prefix_counts` says how many examples of each stream come before a block, so every
   block holds the mixture's proportions and the whole run its exact totals.
2. Inside a block the slots, stream after stream, are shuffled by a keyed permutation of the block.
3. Example k of a stream that has n units per epoch is unit `permutation(epoch = k div n)[k mod n]`: each unit once per
   epoch, another order in each epoch.
Every step can be inverted. Nothing is stored, so example 10^12 costs what example 0 does, and step N holds the same
examples whatever the number of workers or restarts: the examples [N * batch, (N + 1) * batch).
Cost: 2 microseconds per example in long ranges; a single example or a small batch some 500 microseconds.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.mixture.permutation import Permutation
from pipelines.tokens.mixture.quota import prefix_counts, rank
from pipelines.tokens.mixture.spec import MixtureSpec

ORDER = Algorithm("mixture_order", 1)

I64 = NDArray[np.int64]


class Example(NamedTuple):
    """Example `number` is unit `unit` of the stream with number `stream` in the specification, in its epoch `epoch`."""

    number: int
    stream: int
    epoch: int
    unit: int


class Examples(NamedTuple):
    """The same in columns, for a range of examples."""

    number: I64
    stream: I64
    epoch: I64
    unit: I64


class _Block(NamedTuple):
    before: list[int]
    """Examples of each stream before the block."""
    first_slot: I64
    """The first slot of each stream in the block, then the block's size."""
    shuffle: Permutation


class MixtureOrder:
    """The order of `spec`. Picklable; holds caches of constant size only."""

    def __init__(self, spec: MixtureSpec) -> None:
        for stream in spec.streams:
            if stream.units < 1 or stream.examples < 1:
                raise ValueError(f"stream {stream.name!r} has {stream.units} units and {stream.examples} examples")
        self.spec = spec
        self._totals = [stream.examples for stream in spec.streams]
        self._length = sum(self._totals)
        self._block = lru_cache(maxsize=256)(self._make_block)
        self._epoch = lru_cache(maxsize=1024)(self._make_epoch)

    def __len__(self) -> int:
        return self._length

    def __reduce__(self) -> tuple[type["MixtureOrder"], tuple[MixtureSpec]]:
        return type(self), (self.spec,)

    def example(self, index: int) -> Example:
        """One example; IndexError outside of the mixture."""
        columns = self.examples(index, index + 1)
        return Example(*(int(column[0]) for column in columns))

    def examples(self, start: int, stop: int) -> Examples:
        """Examples [start, stop) in columns."""
        if not 0 <= start <= stop <= self._length:
            raise IndexError(f"examples [{start}, {stop}) of a mixture of {self._length}")
        size = self.spec.block_size
        streams: list[I64] = [np.empty(0, dtype=np.int64)]
        numbers: list[I64] = [np.empty(0, dtype=np.int64)]
        for number in range(start // size, -(-stop // size)):
            block = self._block(number)
            places = np.arange(max(start - number * size, 0), min(stop - number * size, size), dtype=np.int64)
            slots = block.shuffle.forward(places)
            owner = np.searchsorted(block.first_slot, slots, side="right") - 1
            streams.append(owner)
            numbers.append(np.array(block.before, dtype=np.int64)[owner] + slots - block.first_slot[owner])
        stream, number_in_stream = np.concatenate(streams), np.concatenate(numbers)
        units = np.array([item.units for item in self.spec.streams], dtype=np.int64)[stream]
        epoch, within = np.divmod(number_in_stream, units)
        unit = np.empty_like(within)
        pairs = np.unique(np.stack([stream, epoch], axis=1), axis=0)
        for owner, turn in pairs.tolist():
            rows = (stream == owner) & (epoch == turn)
            unit[rows] = self._epoch(owner, turn).forward(within[rows])
        return Examples(np.arange(start, stop, dtype=np.int64), stream, epoch, unit)

    def position(self, stream: int, number: int) -> int:
        """The index of example `number` of one stream, counted over its epochs."""
        block_number = rank(self._totals, stream, number) // self.spec.block_size
        block = self._block(block_number)
        slot = int(block.first_slot[stream]) + number - block.before[stream]
        return block_number * self.spec.block_size + int(block.shuffle.inverse([slot])[0])

    def positions(self, stream: int, unit: int) -> list[int]:
        """All indices at which a unit is trained on, one per epoch that reaches it, in order of epochs."""
        item = self.spec.streams[stream]
        if not 0 <= unit < item.units:
            raise IndexError(f"unit {unit} of stream {item.name!r}, which has {item.units}")
        found = []
        for epoch in range(-(-item.examples // item.units)):
            number = epoch * item.units + int(self._epoch(stream, epoch).inverse([unit])[0])
            if number < item.examples:
                found.append(self.position(stream, number))
        return found

    def counts(self, stop: int) -> dict[str, int]:
        """Examples of each stream among the first `stop`, where `stop` may be any number: the plan at that moment.

        Exact at multiples of the block size and at the end; inside a block counted by looking.
        """
        whole = stop - stop % self.spec.block_size if stop < self._length else stop
        planned = np.array(prefix_counts(self._totals, whole), dtype=np.int64)
        if whole < stop:
            planned += np.bincount(self.examples(whole, stop).stream, minlength=len(planned))
        return {item.name: int(count) for item, count in zip(self.spec.streams, planned, strict=True)}

    def _make_block(self, number: int) -> _Block:
        start = number * self.spec.block_size
        stop = min(start + self.spec.block_size, self._length)
        before, after = prefix_counts(self._totals, start), prefix_counts(self._totals, stop)
        first_slot: NDArray[Any] = np.cumsum([0, *(b - a for a, b in zip(before, after, strict=True))], dtype=np.int64)
        return _Block(before, first_slot, Permutation(stop - start, self.spec.seed, "block", number))

    def _make_epoch(self, stream: int, epoch: int) -> Permutation:
        item = self.spec.streams[stream]
        return Permutation(item.units, self.spec.seed, "epoch", item.name, epoch)
