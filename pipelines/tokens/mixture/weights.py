"""Weights from token counts, with every group's epochs shown and capped.

In: streams with their units, the configuration, the number of examples. 1. A continued round splits the examples
between new data and replay. 2. The method gives each stream of a role a weight. 3. Weights become whole examples
(largest remainder). 4. A stream that would repeat more often than its cap is held at the cap, and the others share
the rest by their weights, until none is above. Out: one row per stream, as data: nothing is dropped in silence. The
streams of a split group say what they are of it by nature and what by plan. Cost: microseconds.
"""

import difflib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.quota import largest_remainder
from pipelines.tokens.mixture.spec import ALL, NEW, REPLAY, MixtureError, Stream

WEIGHTS = Algorithm("mixture_weights", 1)


class WeightRow(NamedTuple):
    """`weight` is asked for and `share` what it came to (both of the whole mixture); `epochs` = examples / units.

    A stream of a split group names it in `split`; `natural_share` is its part of the group's tokens in its role, and
    `planned_share` its part of the group's examples there.
    """

    stream: str
    group: str
    role: str
    documents: int
    tokens: int
    units: int
    weight: float
    share: float
    examples: int
    epochs: float
    max_epochs: float
    capped: bool
    note: str
    split: str | None = None
    natural_share: float | None = None
    planned_share: float | None = None


SPLIT_COLUMNS: Final = ("split", "natural_share", "planned_share")


def weights_table(rows: Sequence[WeightRow]) -> pa.Table:
    """One row per stream; a mixture without a split has no columns about one."""
    table = pa.Table.from_pylist([row._asdict() for row in rows])
    return table if any(row.split for row in rows) else table.drop_columns(list(SPLIT_COLUMNS))


def temperature_weights(sizes: Sequence[float], temperature: float) -> list[float]:
    """p_i proportional to n_i^(1/T): T = 1 by size, T = infinity uniform (mT5's alpha 0.3 is T = 3.33)."""
    largest = max(sizes, default=0.0)
    powers = [(size / largest) ** (1 / temperature) if size > 0 else 0.0 for size in sizes]
    total = sum(powers)
    return [power / total for power in powers] if total else powers


def unimax_weights(sizes: Sequence[float], budget: float, max_epochs: float | Sequence[float]) -> list[float]:
    """UniMax (Chung et al. 2023): from the smallest cap on, each takes min(rest / groups left, epochs x size)."""
    caps = [max_epochs] * len(sizes) if isinstance(max_epochs, int | float) else list(max_epochs)
    limits = [size * cap for size, cap in zip(sizes, caps, strict=True)]
    taken = [0.0] * len(sizes)
    rest = float(budget)
    order = sorted(range(len(sizes)), key=lambda index: (limits[index], index))
    for place, index in enumerate(order):
        taken[index] = min(rest / (len(order) - place), limits[index])
        rest -= taken[index]
    total = sum(taken)
    return [amount / total for amount in taken] if total else taken


def resolve_weights(
    streams: Sequence[Stream], units: Mapping[str, int], config: MixtureConfig, examples: int
) -> list[WeightRow]:
    """One row per stream, examples summing to `examples`.

    `units` maps stream names to the sequences in one epoch. Raises MixtureError when a named group does not exist,
    when data would have to be repeated beyond every cap (with the largest number of examples that fits), or, with
    `on_cap: error`, at the first cap.
    """
    if examples < 1:
        raise MixtureError(f"a mixture of {examples} examples")
    _known_groups(streams, config)
    rows: list[WeightRow] = []
    for role, count in _roles(streams, units, config, examples).items():
        members = [stream for stream in streams if stream.role == role]
        rows += _resolve_role(role, members, units, config, count, examples)
    return sorted(_compared(rows), key=lambda row: row.stream)


def _compared(rows: Sequence[WeightRow]) -> list[WeightRow]:
    """Rows of split groups with their shares of the group: of its tokens, and of the examples drawn from it."""
    tokens: dict[tuple[str, str | None], int] = defaultdict(int)
    examples: dict[tuple[str, str | None], int] = defaultdict(int)
    for row in rows:
        tokens[row.role, row.split] += row.tokens
        examples[row.role, row.split] += row.examples
    return [
        row._replace(
            natural_share=row.tokens / max(tokens[row.role, row.split], 1),
            planned_share=row.examples / max(examples[row.role, row.split], 1),
        )
        if row.split
        else row
        for row in rows
    ]


def _known_groups(streams: Sequence[Stream], config: MixtureConfig) -> None:
    groups = sorted({stream.group for stream in streams} | {stream.split for stream in streams if stream.split})
    for field, names in (("weights", config.weights), ("group_max_epochs", config.group_max_epochs)):
        for name in names:
            if name not in groups:
                near = difflib.get_close_matches(name, groups, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {groups}"
                plain = name.partition(":")[0]
                inside = [stream.group for stream in streams if stream.split == plain]
                if inside:
                    hint += f"; {plain!r} is split by {config.split[plain]} into {sorted(set(inside))}"
                raise MixtureError(f"mixture {field} names the {config.by} {name!r}, which has no tokens here{hint}")


def _roles(streams: Sequence[Stream], units: Mapping[str, int], config: MixtureConfig, examples: int) -> dict[str, int]:
    """Role -> examples; a base mixture has the role `all` alone."""
    usable = {stream.role for stream in streams if units[stream.name]}
    if {stream.role for stream in streams} <= {ALL}:
        if not usable:
            raise MixtureError("no stream holds a whole sequence: the mixture is empty; shorten sequence_length")
        return {ALL: examples}
    fresh, replayed = largest_remainder([1 - config.replay, config.replay], examples)
    if fresh and NEW not in usable:
        raise MixtureError("no new data since the parent (or less than one sequence): nothing to continue with")
    if replayed and REPLAY not in usable:
        raise MixtureError(f"replay {config.replay} of data that the parent saw, but there is none: set replay to 0")
    roles = {role for role in (NEW, REPLAY) if any(stream.role == role for stream in streams)}
    return {role: count for role, count in ((NEW, fresh), (REPLAY, replayed)) if role in roles}


def _weights(streams: Sequence[Stream], sizes: Sequence[int], config: MixtureConfig, examples: int) -> list[float]:
    """Weights that sum to 1 (or are all 0) for the streams of one role; `sizes` are units."""
    if config.method == "weights":
        given = _given_weights(streams, sizes, config)
        total = sum(given)
        return [weight / total for weight in given] if total else given
    if config.method == "unimax":
        return unimax_weights(sizes, examples, [_cap(stream, config) for stream in streams])
    return temperature_weights(sizes, config.temperature)


def _given_weights(streams: Sequence[Stream], sizes: Sequence[int], config: MixtureConfig) -> list[float]:
    """The declared weights; the weight of a split group's plain name goes to its streams that are not named, by size.

    In a continued round a named stream of a split group may be shorter than a sequence, because few of its documents
    arrived: that is no mistake of who declared it, so its weight goes to the others, as if none had.
    """
    rest: dict[str, int] = defaultdict(int)
    for stream, size in zip(streams, sizes, strict=True):
        if stream.split and stream.group not in config.weights:
            rest[stream.split] += size
    found = []
    for stream, size in zip(streams, sizes, strict=True):
        weight = config.weights.get(stream.group, 0.0)
        if stream.split and stream.group not in config.weights:
            weight = config.weights.get(stream.split, 0.0) * size / max(rest[stream.split], 1)
        found.append(0.0 if stream.split and stream.role != ALL and not size else weight)
    return found


def _cap(stream: Stream, config: MixtureConfig) -> float:
    plain = config.group_max_epochs.get(stream.split or "", config.max_epochs)
    return config.group_max_epochs.get(stream.group, plain)


def _resolve_role(
    role: str, streams: Sequence[Stream], units: Mapping[str, int], config: MixtureConfig, count: int, examples: int
) -> list[WeightRow]:
    sizes = [units[stream.name] for stream in streams]
    weights = _weights(streams, sizes, config, count)
    if count and not any(weights):
        raise MixtureError(
            f"{count} examples of role {role!r}, but none of its streams has a weight: name one in weights"
        )
    short = [stream.name for stream, size, weight in zip(streams, sizes, weights, strict=True) if weight and not size]
    if short:
        raise MixtureError(f"streams {short} have a weight but hold less than one sequence: shorten sequence_length")
    limits = [math.floor(size * _cap(stream, config)) for stream, size in zip(streams, sizes, strict=True)]
    drawn, capped = _fill(streams, weights, limits, count, config)
    rows = []
    for index, stream in enumerate(streams):
        note = ""
        if not sizes[index]:
            note = "shorter than one sequence"
        elif not weights[index]:
            note = "left out: weight 0"
        elif capped[index] or 0 < drawn[index] == limits[index]:
            note = f"held at {_cap(stream, config):g} epochs"
        elif not drawn[index]:
            note = "left out: its weight rounds to 0 examples"
        rows.append(
            WeightRow(
                stream.name,
                stream.group,
                stream.role,
                stream.documents,
                stream.tokens,
                sizes[index],
                weights[index] * count / examples,
                drawn[index] / examples,
                drawn[index],
                drawn[index] / sizes[index] if sizes[index] else 0.0,
                _cap(stream, config),
                capped[index] or 0 < drawn[index] == limits[index],
                note,
                stream.split,
            )
        )
    return rows


def _fill(
    streams: Sequence[Stream], weights: Sequence[float], limits: Sequence[int], count: int, config: MixtureConfig
) -> tuple[list[int], list[bool]]:
    """Whole examples by weight under the limits; what a limit cuts off goes to the streams below theirs."""
    drawn = [0] * len(weights)
    capped = [False] * len(weights)
    if not count:
        return drawn, capped
    free = [index for index, weight in enumerate(weights) if weight > 0]
    rest = count
    while free:
        counts = largest_remainder([weights[index] for index in free], rest)
        over = [(index, wanted) for index, wanted in zip(free, counts, strict=True) if wanted > limits[index]]
        if not over:
            for index, wanted in zip(free, counts, strict=True):
                drawn[index] = wanted
            return drawn, capped
        if config.on_cap == "error":
            named = ", ".join(
                f"{streams[index].name}: {wanted} examples, {limits[index]} allowed" for index, wanted in over
            )
            raise MixtureError(f"weights repeat data beyond max_epochs ({named}); use on_cap: rescale, or lower them")
        for index, _ in over:
            drawn[index], capped[index] = limits[index], True
            rest -= limits[index]
            free.remove(index)
    names = [stream.name for stream, weight in zip(streams, weights, strict=True) if weight > 0]
    raise MixtureError(
        f"{count} examples need more than max_epochs of every weighted stream {names}: {count - rest} examples is the "
        "most that fits; train fewer steps, raise max_epochs, or add data"
    )
