"""A small mixture from end to end: order, exactness, batches, and lineage both ways, against brute force."""

import pickle
import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tokens.arrays.build import INDEX_SCHEMA
from pipelines.tokens.arrays.reader import DocumentIndex, TokenArray
from pipelines.tokens.mixture import dataset as dataset_module
from pipelines.tokens.mixture.build import Mixture, build_mixture
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.dataset import IGNORE, MixtureDataset
from pipelines.tokens.mixture.layout import Chunks
from pipelines.tokens.mixture.order import MixtureOrder
from pipelines.tokens.mixture.packing import RowTable
from pipelines.tokens.mixture.spec import MixtureError, MixtureSpec, PartTokens, Piece, StreamSpec
from pipelines.tokens.mixture.split import labels_of, pieces_of
from pipelines.tokens.mixture.trace import MixtureTrace

END = 0


class Corpus(NamedTuple):
    parts: list[PartTokens]
    arrays: dict[PartTokens, TokenArray]
    indices: dict[PartTokens, DocumentIndex]
    tables: dict[PartTokens, pa.Table]
    labels: dict[bytes, str | None]
    """Of every document; None where the signal has no value."""

    def part(self, partition: str, part: str) -> PartTokens:
        """The whole part: what a mixture says of a part may count some of its documents alone."""
        return next(item for item in self.parts if (item.partition, item.part) == (partition, part))

    def array(self, part: PartTokens) -> TokenArray:
        return self.arrays[self.part(part.partition, part.part)]

    def index(self, part: PartTokens) -> DocumentIndex:
        return self.indices[self.part(part.partition, part.part)]

    def divide(self, part: PartTokens) -> list[Piece]:
        signals = {
            "id": pa.array(list(self.labels), pa.binary(16)),
            "topic": pa.array(self.labels.values(), pa.string()),
        }
        return pieces_of(part, labels_of(self.tables[part], pa.table(signals), "topic"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three sources, six parts of which one is empty; every token but the ends of documents is unique."""
    folder = tmp_path_factory.mktemp("arrays")
    random_ = np.random.default_rng(2)
    corpus = Corpus([], {}, {}, {}, {})
    next_token = 1
    for key, number, documents in (
        ("a.1", 0, 30),
        ("a.1", 1, 25),
        ("a.2", 0, 18),
        ("b.1", 0, 40),
        ("b.1", 1, 0),
        ("c.1", 0, 9),
    ):
        lengths = random_.integers(1, 40, documents).astype(np.int32)
        ends = np.cumsum(lengths, dtype=np.int64)
        tokens = np.arange(next_token, next_token + int(lengths.sum()), dtype="<u2")
        next_token += len(tokens)
        tokens[ends - 1] = END
        path = folder / f"{key}.{number}.bin"
        path.write_bytes(tokens.tobytes())
        source = key[0]
        domain = "web" if source in "ab" else "code"
        part = PartTokens(key, str(number), f"digest {key} {number}", source, domain, len(tokens), documents)
        ids = sorted(random_.bytes(16) for _ in range(documents))
        columns = {"id": ids, "start": ends - lengths, "length": lengths, "bytes": np.zeros(documents, np.int64)}
        corpus.parts.append(part)
        corpus.arrays[part] = TokenArray(path, "<u2")
        corpus.tables[part] = pa.table(columns, schema=INDEX_SCHEMA)
        corpus.indices[part] = DocumentIndex(corpus.tables[part])
        corpus.labels.update({identity: ("law", "maths", "maths", None)[random_.integers(4)] for identity in ids})
    return corpus


def _mixture(corpus: Corpus, examples: int, seen: frozenset[str] | None = None, **fields: object) -> Mixture:
    config = MixtureConfig(**{"sequence_length": 16, "block_size": 12, "seed": 11, "replay": 0.25, **fields})
    return build_mixture(corpus.parts, config, examples, seen, lambda part: corpus.indices[part].lengths, corpus.divide)


def _dataset(corpus: Corpus, mixture: Mixture) -> MixtureDataset:
    return MixtureDataset(mixture.spec, mixture.parts, corpus.array, END, mixture.rows, mixture.selections)


def _trace(corpus: Corpus, mixture: Mixture) -> MixtureTrace:
    return MixtureTrace(mixture.spec, mixture.parts, corpus.index, mixture.rows, mixture.selections)


CASES = {
    "base": (150, None, {}),
    "epochs": (400, None, {"method": "weights", "weights": {"a": 1, "b": 2, "c": 2}, "max_epochs": 20}),
    "domains": (130, None, {"by": "domain", "method": "unimax"}),
    "round": (120, frozenset({"a.1", "b.1", "c.1"}), {"max_epochs": 9}),
    "packed": (200, None, {"packing": "best_fit", "method": "temperature", "temperature": 3, "max_epochs": 7}),
    "truncated": (90, None, {"packing": "best_fit", "long_documents": "truncate"}),
    "split": (190, None, {"split": {"a": "topic", "c": "topic"}, "method": "temperature", "temperature": 2.0}),
    "split_weights": (
        240,
        None,
        {"split": {"a": "topic"}, "method": "weights", "weights": {"a:law": 3, "b": 1}, "max_epochs": 30},
    ),
    "split_domain": (120, None, {"by": "domain", "split": {"web": "topic"}, "method": "unimax"}),
    "split_round": (120, frozenset({"a.1", "b.1", "c.1"}), {"max_epochs": 9, "split": {"a": "topic", "b": "topic"}}),
    "split_packed": (
        200,
        None,
        {"split": {"a": "topic", "b": "topic"}, "packing": "best_fit", "method": "unimax", "max_epochs": 7},
    ),
    "split_truncated": (90, None, {"split": {"b": "topic"}, "packing": "best_fit", "long_documents": "truncate"}),
}


@pytest.fixture(params=list(CASES))
def mixture(request: pytest.FixtureRequest, corpus: Corpus) -> Mixture:
    examples, seen, fields = CASES[request.param]
    return _mixture(corpus, examples, seen, **fields)


def test_observed_mixture_equals_the_plan(mixture: Mixture) -> None:
    order = MixtureOrder(mixture.spec)
    examples = order.examples(0, len(order))
    observed = Counter(mixture.spec.streams[stream].name for stream in examples.stream.tolist())
    assert observed == {row.stream: row.examples for row in mixture.weights if row.examples}
    assert sum(observed.values()) == mixture.spec.examples == len(order)
    for number, stream in enumerate(mixture.spec.streams):
        drawn = Counter(examples.unit[examples.stream == number].tolist())
        full, rest = divmod(stream.examples, stream.units)
        # Each unit once per epoch, and in the last epoch at most once.
        assert set(drawn.values()) <= {full, full + 1}
        assert sum(count == full + 1 for count in drawn.values()) == rest
        for epoch in range(full):
            units = examples.unit[(examples.stream == number) & (examples.epoch == epoch)]
            assert sorted(units.tolist()) == list(range(stream.units))


def test_blocks_hold_the_proportions(mixture: Mixture) -> None:
    order = MixtureOrder(mixture.spec)
    size, total = mixture.spec.block_size, len(order)
    for start in range(0, total - size + 1, size):
        counts = np.bincount(order.examples(start, start + size).stream, minlength=len(mixture.spec.streams))
        for stream, count in zip(mixture.spec.streams, counts.tolist(), strict=True):
            assert abs(count - size * stream.examples / total) < 2
    for stop in (0, size, 2 * size + 5, total):
        seen = Counter(mixture.spec.streams[s].name for s in order.examples(0, stop).stream.tolist())
        assert order.counts(stop) == {stream.name: seen[stream.name] for stream in mixture.spec.streams}


def test_random_access_ranges_and_inverse_agree(mixture: Mixture) -> None:
    order = MixtureOrder(mixture.spec)
    whole = order.examples(0, len(order))
    places: dict[tuple[int, int], list[int]] = {}
    for index in range(len(order)):
        example = order.example(index)
        assert example == tuple(int(column[index]) for column in whole)
        places.setdefault((example.stream, example.unit), []).append(index)
    for start, stop in ((0, 0), (5, 31), (11, 12), (len(order) - 1, len(order))):
        for part, column in zip(order.examples(start, stop), whole, strict=True):
            assert np.array_equal(part, column[start:stop])
    for number, stream in enumerate(mixture.spec.streams):
        for unit in range(stream.units):
            found = order.positions(number, unit)
            assert sorted(found) == places.get((number, unit), [])
            assert [order.example(index).epoch for index in found] == list(range(len(found)))
    with pytest.raises(IndexError):
        order.example(len(order))


def test_order_depends_on_the_specification_alone(mixture: Mixture) -> None:
    again = MixtureSpec.from_json(mixture.spec.to_json())
    assert again == mixture.spec
    first, second = MixtureOrder(mixture.spec), pickle.loads(pickle.dumps(MixtureOrder(again)))
    second.example(len(second) - 1)
    for a, b in zip(first.examples(0, len(first)), second.examples(0, len(second)), strict=True):
        assert np.array_equal(a, b)
    other = MixtureOrder(mixture.spec._replace(seed=12))
    assert not np.array_equal(first.examples(0, len(first)).unit, other.examples(0, len(other)).unit)
    with pytest.raises(MixtureError, match="not a mixture"):
        MixtureSpec.from_json(b'{"streams": [{"x": 1}]}')


def test_epochs_are_shuffled_differently(corpus: Corpus) -> None:
    examples, _, fields = CASES["epochs"]
    order = MixtureOrder(_mixture(corpus, examples, None, **fields).spec)
    columns = order.examples(0, examples)
    mine = columns.stream == [stream.name for stream in order.spec.streams].index("c")
    epochs = [tuple(columns.unit[mine & (columns.epoch == epoch)].tolist()) for epoch in range(4)]
    assert len(epochs[0]) > 5 and len(set(epochs)) == 4


def _stream_tokens(corpus: Corpus, mixture: Mixture, name: str) -> np.ndarray:
    """Document by document: all of a part, or those that have the label of the stream."""
    rows = [row for row in mixture.parts.to_pylist() if row["stream"] == name]
    label = name.partition(":")[2]
    arrays: list[list[int]] = []
    for row in rows:
        part = corpus.part(row["partition"], row["part"])
        assert row["stream_start"] == sum(map(len, arrays)) and row["digest"] == part.digest
        spans = [corpus.indices[part].span(number) for number in range(part.documents)]
        mine = [span for span in spans if not label or (corpus.labels[span.id] or "none") == label]
        arrays.append([])
        for span in mine:
            arrays[-1] += corpus.arrays[part].read(span.start, span.start + span.length).tolist()
        assert (row["tokens"], row["documents"]) == (len(arrays[-1]), len(mine))
    return np.array([token for array in arrays for token in array], dtype=np.int64)


def test_batches_are_the_tokens_of_the_stream(mixture: Mixture, corpus: Corpus) -> None:
    data = _dataset(corpus, mixture)
    length = mixture.spec.sequence_length
    streams = {stream.name: _stream_tokens(corpus, mixture, stream.name) for stream in mixture.spec.streams}
    for step in range(data.steps(6)):
        batch = data.batch(step, 6)
        assert all(array.shape == (6, length) and array.dtype == np.int64 for array in batch)
        for row in range(6):
            example = data.order.example(step * 6 + row)
            stream = mixture.spec.streams[example.stream]
            tokens = streams[stream.name]
            if mixture.spec.packing == "concat":
                start = example.unit * length
                assert batch.inputs[row].tolist() == tokens[start : start + length].tolist()
                assert batch.targets[row].tolist() == tokens[start + 1 : start + length + 1].tolist()
                ends = np.flatnonzero(batch.inputs[row] == END)
                expected = [int((ends < place).sum()) for place in range(length)]
                assert batch.documents[row].tolist() == expected
                continue
            place = 0
            for number, (start, size) in enumerate(mixture.rows[stream.name].spans(example.unit)):
                assert batch.inputs[row][place : place + size].tolist() == tokens[start : start + size].tolist()
                for offset in range(size):
                    last = tokens[start + offset] == END
                    expected_target = IGNORE if last else tokens[start + offset + 1]
                    assert batch.targets[row][place + offset] == expected_target
                assert (batch.documents[row][place : place + size] == number).all()
                place += size
            assert (batch.documents[row][place:] == -1).all() and (batch.targets[row][place:] == IGNORE).all()
            assert (batch.inputs[row][place:] == END).all()


def test_an_epoch_trains_every_token_once(corpus: Corpus) -> None:
    """Targets of one epoch: every token of the stream but its first and the tail that fills no chunk, once."""
    one = [part for part in corpus.parts if part.source == "b"]
    tokens = sum(part.tokens for part in one)
    units = Chunks(tokens, 16).units
    mixture = build_mixture(one, MixtureConfig(sequence_length=16, block_size=5), units)
    batch = _dataset(corpus, mixture).rows(0, units)
    stream = _stream_tokens(corpus, mixture, "b")
    assert sorted(batch.targets.ravel().tolist()) == sorted(stream[1 : units * 16 + 1].tolist())
    assert tokens - 1 - units * 16 < 16


def test_ranks_share_the_rows_of_a_step(corpus: Corpus, mixture: Mixture) -> None:
    data = _dataset(corpus, mixture)
    whole = data.batch(3, 8)
    for world in (2, 4):
        shares = [data.batch(3, 8, rank, world) for rank in range(world)]
        for number, array in enumerate(whole):
            assert np.array_equal(array, np.concatenate([share[number] for share in shares]))
    with pytest.raises(ValueError, match="divide evenly"):
        data.batch(0, 8, 0, 3)


def test_few_parts_stay_open(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "OPEN_PARTS", 2)
    mixture = _mixture(corpus, 150)
    expected = _dataset(corpus, mixture).rows(0, 150)
    data = MixtureDataset(mixture.spec, mixture.parts, corpus.array, END)
    for number in range(150):
        assert np.array_equal(data.rows(number, number + 1).inputs[0], expected.inputs[number])
    assert len(data._opened) == 2


def test_lineage_both_ways_equals_brute_force(mixture: Mixture, corpus: Corpus) -> None:
    trace = _trace(corpus, mixture)
    data = _dataset(corpus, mixture)
    batch_size = 5
    forward = {}
    for step in range(len(trace.order) // batch_size):
        uses = trace.documents(step, batch_size)
        inputs = data.batch(step, batch_size).inputs
        for row in range(batch_size):
            example = step * batch_size + row
            mine = [use for use in uses if use.example == example]
            read: list[int] = []
            for use in mine:
                part = corpus.part(use.partition, use.part)
                span = corpus.indices[part].find(use.document)
                assert span is not None and use.start >= 0 and use.start + use.length <= span.length
                first = span.start + use.start
                read += corpus.arrays[part].read(first, first + use.length).tolist()
            extra = 1 if mixture.spec.packing == "concat" else 0
            assert read[: len(read) - extra] == inputs[row][: len(read) - extra].tolist()
        for use in uses:
            forward.setdefault((use.partition, use.part, use.document), []).append(use)
        assert sum(item.length for item in trace.slices(step, batch_size)) == sum(use.length for use in uses)
    reached = len(trace.order) // batch_size * batch_size
    checked = 0
    for partition, name in {(row["partition"], row["part"]) for row in mixture.parts.to_pylist()}:
        part = corpus.part(partition, name)
        for number in range(len(corpus.indices[part])):
            document = corpus.indices[part].span(number).id
            back = [use for use in trace.uses(part.partition, part.part, document) if use.example < reached]
            assert back == sorted(forward.get((part.partition, part.part, document), []))
            checked += len(back)
    assert checked == sum(map(len, forward.values())) > 100


def test_documents_and_parts_that_are_not_there(corpus: Corpus) -> None:
    mixture = _mixture(corpus, 50, method="weights", weights={"a": 1})
    trace = MixtureTrace(mixture.spec, mixture.parts, corpus.index)
    with pytest.raises(KeyError, match="not in this mixture"):
        trace.uses("b.1", "0", b"0" * 16)
    with pytest.raises(KeyError, match="document"):
        trace.uses("a.1", "0", b"0" * 16)


def test_a_source_that_is_left_out_changes_nothing(corpus: Corpus) -> None:
    fields = {"method": "weights", "weights": {"a": 1, "c": 1}}
    without = corpus._replace(parts=[part for part in corpus.parts if part.source != "b"])
    assert _mixture(corpus, 40, **fields).spec == _mixture(without, 40, **fields).spec
    assert _mixture(corpus, 40).spec != _mixture(without, 40).spec


def test_rounds_split_new_from_replay(corpus: Corpus) -> None:
    mixture = _mixture(corpus, 120, frozenset({"a.1", "b.1", "c.1"}), max_epochs=9)
    roles = Counter()
    for stream in mixture.spec.streams:
        roles[stream.role] += stream.examples
    assert roles == {"new": 90, "replay": 30}
    assert {row["partition"] for row in mixture.parts.to_pylist() if row["stream"] == "new/a"} == {"a.2"}
    assert mixture.weights_table().num_rows == len(mixture.weights) == 4


def test_parts_of_another_mixture_are_refused(corpus: Corpus) -> None:
    mixture = _mixture(corpus, 50)
    rows = mixture.parts.to_pylist()
    random.Random(1).shuffle(rows)
    swapped = pa.Table.from_pylist(rows, schema=mixture.parts.schema)
    with pytest.raises(MixtureError, match="not those of its specification"):
        MixtureDataset(mixture.spec, swapped, corpus.array, END)
    packed = _mixture(corpus, 50, packing="best_fit")
    with pytest.raises(ValueError, match="row table is not here"):
        MixtureDataset(packed.spec, packed.parts, corpus.array, END)


def test_a_shorter_file_is_noticed(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "short.bin").write_bytes(b"\0\0" * 10)
    mixture = _mixture(corpus, 50)
    data = MixtureDataset(mixture.spec, mixture.parts, lambda part: TokenArray(tmp_path / "short.bin", "<u2"), END)
    with pytest.raises(ValueError, match=r"short\.bin: 10 tokens"):
        data.rows(0, 5)


def test_row_tables_may_be_memory_maps(corpus: Corpus, tmp_path: Path) -> None:
    mixture = _mixture(corpus, 60, packing="best_fit")
    mapped = {}
    for name, table in mixture.rows.items():
        arrays = {}
        for role, array in table.arrays().items():
            path = tmp_path / f"{name}.{role}"
            path.write_bytes(array.tobytes())
            arrays[role] = np.memmap(path, dtype=array.dtype, mode="r")
        mapped[name] = RowTable.from_arrays(arrays)
    data = MixtureDataset(mixture.spec, mixture.parts, corpus.array, END, mapped)
    assert np.array_equal(data.rows(0, 60).targets, _dataset(corpus, mixture).rows(0, 60).targets)


def test_order_of_a_trillion_examples_is_read_anywhere() -> None:
    streams = tuple(
        StreamSpec(name, name, "all", "", 1, 1, units, examples)
        for name, units, examples in (("a", 3 * 10**11, 7 * 10**11), ("b", 10**12, 3 * 10**11), ("c", 97, 100))
    )
    order = MixtureOrder(MixtureSpec(5, 4096, 1024, "concat", "split", streams))
    for index in (0, 1, 10**9, 6 * 10**11 + 3, len(order) - 1):
        example = order.example(index)
        assert index in order.positions(example.stream, example.unit)
    counts = order.counts(10**12)
    assert sum(counts.values()) == 10**12 and abs(counts["a"] - 7 * 10**11) < 2 * 10**2


@settings(max_examples=40, deadline=None)
@given(
    examples=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    units=st.lists(st.integers(1, 30), min_size=5, max_size=5),
    block=st.integers(1, 50),
)
def test_positions_invert_any_order(examples: list[int], units: list[int], block: int) -> None:
    streams = tuple(
        StreamSpec(str(number), str(number), "all", "", 1, 1, units[number], count)
        for number, count in enumerate(examples)
    )
    order = MixtureOrder(MixtureSpec(1, 8, block, "concat", "split", streams))
    columns = order.examples(0, len(order))
    assert np.bincount(columns.stream).tolist() == examples
    for number in range(len(streams)):
        every = sorted(place for unit in range(units[number]) for place in order.positions(number, unit))
        assert every == np.flatnonzero(columns.stream == number).tolist()


@given(tokens=st.integers(0, 90), length=st.integers(2, 12), start=st.integers(0, 90), size=st.integers(0, 30))
def test_chunks_that_read_a_range(tokens: int, length: int, start: int, size: int) -> None:
    layout = Chunks(tokens, length)
    start, stop = min(start, tokens), min(start + size, tokens)
    expected = [
        unit
        for unit in range(layout.units)
        for first, read in layout.spans(unit)
        if first < stop and first + read > start and start < stop
    ]
    assert layout.units_of(start, stop) == expected
    assert all(first + read <= tokens for unit in range(layout.units) for first, read in layout.spans(unit))
