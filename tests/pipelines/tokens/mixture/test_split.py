"""Streams of selected documents: the view against a plain concatenation, the weights of split groups, the digests."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.core.fingerprint import digest_bytes, digest_json, rows_digest
from pipelines.tokens.arrays.reader import TokenArray
from pipelines.tokens.mixture import stored
from pipelines.tokens.mixture.build import Mixture, build_mixture
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.dataset import MixtureDataset, StreamReader
from pipelines.tokens.mixture.places import StreamPlaces
from pipelines.tokens.mixture.selection import Selection
from pipelines.tokens.mixture.spec import MixtureError, PartTokens, Piece, Stream, group_streams
from pipelines.tokens.mixture.split import PartLabels, joined, labels_of, pieces_of
from pipelines.tokens.mixture.weights import WeightRow, resolve_weights

Sizes = dict[str, dict[str, int]]
"""Batch -> label -> tokens of its only document of that label."""
PART = st.lists(st.tuples(st.integers(1, 9), st.sampled_from("abc")), max_size=12)


def part_of(key: str, lengths: list[int]) -> PartTokens:
    return PartTokens(key, "0", f"digest {key}", key.split(".")[0], "any", sum(lengths), len(lengths))


def divided(part: PartTokens, lengths: list[int], labels: list[str]) -> list[Piece]:
    return pieces_of(part, PartLabels(np.array(lengths, np.int32), pl.Series(labels, dtype=pl.String)))


class Held:
    """An array in memory, where a token file is expected."""

    path = Path("memory")

    def __init__(self, tokens: np.ndarray) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def read(self, start: int, stop: int) -> np.ndarray:
        assert 0 <= start <= stop <= len(self.tokens)
        return self.tokens[start:stop]


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(PART, max_size=5), start=st.integers(0, 120), size=st.integers(0, 60))
def test_a_view_of_any_selection_is_the_concatenation(
    parts: list[list[tuple[int, str]]], start: int, size: int
) -> None:
    """Tokens of every label's stream, any span of them, and every token's place back; nothing is in two streams."""
    arrays, found, oracle, token = {}, {}, {}, 0
    for number, documents in enumerate(parts):
        lengths = [length for length, _ in documents]
        part = part_of(f"x.{number}", lengths)
        arrays[part.partition] = Held(np.arange(token, token + part.tokens))
        for piece in divided(part, lengths, [label for _, label in documents]):
            found.setdefault(piece.label, []).append(piece)
        for length, label in documents:
            oracle.setdefault(label, []).extend(range(token, token + length))
            token += length
    assert {label: sum(len(piece.lengths) for piece in pieces) for label, pieces in found.items()} == Counter(
        label for documents in parts for _, label in documents
    )
    for label, pieces in found.items():
        selection = joined(pieces)
        assert len(selection.positions) <= sum(piece.part.documents for piece in pieces)
        stream = Stream(label, label, "all", tuple(piece.part for piece in pieces), "x", selection=selection)
        reader = StreamReader(stream, lambda part: arrays[part.partition])  # type: ignore[arg-type,return-value]
        assert len(reader) == len(oracle[label])
        assert reader.read(start, start + size).tolist() == oracle[label][start : start + size]
        places = StreamPlaces(stream)
        back = []
        for number, part in enumerate(places.parts):
            mine = (places.position(number, place) for place in range(len(arrays[part.partition])))
            back += [position for position in mine if position is not None]
        assert back == list(range(len(reader)))


def test_labels_are_joined_by_id_and_gaps_are_none() -> None:
    ids = [bytes([number]) * 16 for number in range(5)]
    index = pa.table(
        {"id": pa.array([ids[3], ids[0], ids[2]], pa.binary(16)), "length": pa.array([1, 2, 3], pa.int32())}
    )
    signals = pa.table(
        {"id": pa.array([ids[0], ids[2], ids[4], ids[1]], pa.binary(16)), "topic": ["law", None, "trade", "law"]}
    )
    assert labels_of(index, signals, "topic").labels.to_list() == ["none", "law", "none"]
    assert labels_of(index, None, "topic").labels.to_list() == ["none"] * 3
    part = part_of("x.1", [1, 2, 3])
    assert [
        (piece.label, piece.part.documents, piece.part.tokens) for piece in divided(part, [1, 2, 3], list("bab"))
    ] == [
        ("a", 1, 2),
        ("b", 2, 4),
    ]
    assert [(p.starts.tolist(), p.sizes.tolist()) for p in divided(part, [1, 2, 3], list("abb"))] == [
        ([0], [1]),
        ([1], [5]),
    ]
    assert divided(part_of("x.1", []), [], []) == []
    with pytest.raises(MixtureError, match="the plan says 3 and 6"):
        divided(part, [1, 2], ["a", "b"])
    twice = pa.concat_tables([signals, signals])
    with pytest.raises(MixtureError, match="a document twice"):
        labels_of(index, twice, "topic")


def resolve(sizes: Sizes, examples: int, seen: frozenset[str] | None = None, **fields: object) -> dict[str, WeightRow]:
    """Sizes in units of 10 tokens."""
    config = MixtureConfig(sequence_length=10, **fields)
    lengths = {key: [size * 10 + 1 for size in found.values()] for key, found in sizes.items()}
    parts = [part_of(key, found) for key, found in lengths.items()]
    streams = group_streams(
        parts, config, seen, lambda part: divided(part, lengths[part.partition], list(sizes[part.partition]))
    )
    units = {stream.name: (stream.tokens - 1) // 10 for stream in streams}
    return {row.stream: row for row in resolve_weights(streams, units, config, examples)}


WEB: Sizes = {"web.1": {"law": 10, "maths": 30, "none": 160}, "books.1": {"": 200}}
SPLIT = {"split": {"web": "topic"}}


def test_every_method_works_on_groups_of_a_split() -> None:
    rows = resolve(WEB, 200, **SPLIT)
    assert {name: row.examples for name, row in rows.items()} == {
        "books": 100, "web:law": 5, "web:maths": 15, "web:none": 80
    }  # fmt: skip
    assert {row.split for row in rows.values()} == {"web", None}
    tempered = resolve(WEB, 200, method="temperature", temperature=1e9, **SPLIT)
    assert {row.examples for row in tempered.values()} == {53, 54, 40}, "the smallest is held at four epochs"
    assert tempered["web:law"].note == "held at 4 epochs"
    assert tempered["web:maths"].natural_share == pytest.approx(301 / 2003)
    assert tempered["web:maths"].planned_share == pytest.approx(53 / 147, abs=0.01)
    assert tempered["books"].natural_share is None and tempered["books"].split is None
    unimax = resolve(WEB, 200, method="unimax", max_epochs=1, **SPLIT)
    assert {name: row.examples for name, row in unimax.items()} == {
        "books": 80, "web:law": 10, "web:maths": 30, "web:none": 80
    }  # fmt: skip


def test_a_plain_name_is_the_rest_of_its_groups() -> None:
    rows = resolve(WEB, 100, method="weights", weights={"books": 50, "web:law": 12, "web": 38}, **SPLIT)
    assert {name: row.examples for name, row in rows.items()} == {
        "books": 50, "web:law": 12, "web:maths": 6, "web:none": 32
    }  # fmt: skip
    capped = resolve(WEB, 100, group_max_epochs={"web": 0.1, "web:law": 0.5}, **SPLIT)
    assert {name: row.max_epochs for name, row in capped.items()} == {
        "books": 4.0, "web:law": 0.5, "web:maths": 0.1, "web:none": 0.1
    }  # fmt: skip
    alone = resolve(WEB, 20, method="weights", weights={"web:maths": 1}, **SPLIT)
    assert {name: row.note for name, row in alone.items() if row.note} == dict.fromkeys(
        ["books", "web:law", "web:none"], "left out: weight 0"
    )
    with pytest.raises(MixtureError, match="repeat data beyond max_epochs \\(web:law"):
        resolve(WEB, 100, method="weights", weights={"web:law": 1}, on_cap="error", **SPLIT)


def test_a_name_that_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(MixtureError) as told:
        resolve(WEB, 100, method="weights", weights={"web:math": 1}, **SPLIT)
    assert str(told.value) == (
        "mixture weights names the source 'web:math', which has no tokens here; did you mean 'web:maths'?; "
        "'web' is split by topic into ['web:law', 'web:maths', 'web:none']"
    )
    with pytest.raises(MixtureError, match="group_max_epochs names the source 'web:law', which has no tokens"):
        resolve(WEB, 100, group_max_epochs={"web:law": 2})
    with pytest.raises(ValidationError, match="perplexity_bucket"):
        MixtureConfig(split={"web": "n_words"})
    with pytest.raises(ValueError, match="needs the labels"):
        group_streams([part_of("web.1", [3])], MixtureConfig(split={"web": "topic"}))


def test_rounds_weigh_topics_of_what_is_new_and_of_what_is_replayed() -> None:
    sizes = {**WEB, "web.2": {"law": 100, "maths": 20}}
    seen = frozenset({"web.1", "books.1"})
    rows = resolve(sizes, 100, seen, replay=0.4, method="temperature", temperature=1e9, max_epochs=100, **SPLIT)
    assert {name: row.examples for name, row in rows.items()} == {
        "new/web:law": 30, "new/web:maths": 30,
        "replay/books": 10, "replay/web:law": 10, "replay/web:maths": 10, "replay/web:none": 10,
    }  # fmt: skip
    assert sum(row.natural_share or 0 for row in rows.values() if row.role == "new") == pytest.approx(1)
    assert sum(row.planned_share or 0 for row in rows.values() if row.role == "replay") == pytest.approx(1)


def test_a_named_topic_of_which_too_little_arrived_stops_no_round() -> None:
    """The base refuses a weight that nothing can serve; a round cannot know what the next batch is about."""
    small = {"web.1": {"law": 0, "maths": 30}}
    declared = {"method": "weights", "weights": {"web:law": 1, "web:maths": 1}, "max_epochs": 50, **SPLIT}
    with pytest.raises(MixtureError, match="less than one sequence"):
        resolve(small, 20, **declared)
    rows = resolve({**small, "web.2": {"law": 0, "maths": 9}}, 20, frozenset({"web.1"}), replay=0.5, **declared)
    assert {name: row.examples for name, row in rows.items() if row.examples} == {
        "new/web:maths": 10, "replay/web:maths": 10
    }  # fmt: skip
    assert rows["new/web:law"].note == "shorter than one sequence"


def made(labels: str = "aabbcabcab" * 4, **fields: object) -> Mixture:
    part, other = part_of("web.1", [7] * 40), part_of("books.1", [90])
    config = MixtureConfig(sequence_length=8, **{"split": {"web": "topic"}, **fields})
    return build_mixture([part, other], config, 30, divide=lambda one: divided(one, [7] * 40, list(labels)))


def test_other_labels_are_another_mixture_though_their_counts_are_the_same() -> None:
    first, again, other = made(), made(), made("aabbcabcba" + "aabbcabcab" * 3)
    assert first.spec == again.spec and rows_digest(first.parts) == rows_digest(again.parts)
    assert first.weights == other.weights and first.parts == other.parts
    changed = [
        one.name for one, two in zip(first.spec.streams, other.spec.streams, strict=True) if one.digest != two.digest
    ]
    assert changed == ["web:a", "web:b"]
    plain = made(split={})
    assert plain.selections == {} and [stream.name for stream in plain.spec.streams] == ["books", "web"]
    assert plain.spec.streams[0].digest == first.spec.streams[0].digest, "what is not split is what it was"


@pytest.mark.parametrize("small", [0, 1 << 16])
def test_selections_are_read_or_mapped_and_those_of_another_mixture_are_refused(
    small: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = made(), made("aabbcabcba" + "aabbcabcab" * 3)
    tokens = {key: tmp_path / key for key in ("web.1", "books.1")}
    for number, path in enumerate(tokens.values()):
        path.write_bytes(np.arange(1000 * number, 1000 * number + (280, 90)[number], dtype="<u2").tobytes())

    def opened(mixture: Mixture, selections: dict[str, Selection]) -> MixtureDataset:
        arrays = {key: TokenArray(path, "<u2") for key, path in tokens.items()}
        return MixtureDataset(
            mixture.spec, mixture.parts, lambda part: arrays[part.partition], 0, selections=selections
        )

    paths = {}
    for name, selection in first.selections.items():
        for role, array in selection.arrays().items():
            paths[f"{name}/{role}"] = tmp_path / f"{name}.{role}"
            paths[f"{name}/{role}"].write_bytes(array.tobytes())
    monkeypatch.setattr(stored, "SMALL", small)
    found = stored.stored_arrays(paths)
    assert all(
        isinstance(array, np.memmap) is not bool(small) for arrays in found.values() for array in arrays.values()
    )
    mapped = {name: Selection.from_arrays(arrays) for name, arrays in found.items()}
    expected = opened(first, first.selections).rows(0, 30)
    assert np.array_equal(opened(first, mapped).rows(0, 30).inputs, expected.inputs)
    for selections in (other.selections, {}):
        with pytest.raises(MixtureError, match="are not those of its specification"):
            opened(first, selections)
    tokens["web.1"].write_bytes(tokens["web.1"].read_bytes()[:200])
    with pytest.raises(IndexError, match="lie outside"):
        opened(first, mapped).rows(0, 30)


def test_a_mixture_without_a_split_is_what_it_was_before_there_were_any() -> None:
    """Digests of the version before: a base plan stands by them, and a checkpoint is not trained again."""
    parts = [
        PartTokens("a.1", "0", "d0", "a", "web", 700, 30),
        PartTokens("b.1", "0", "d1", "b", "web", 900, 40),
        PartTokens("c.1", "0", "d2", "c", "code", 333, 9),
    ]
    config = MixtureConfig(sequence_length=16, block_size=12, seed=11, method="temperature", temperature=2.0)
    mixture = build_mixture(parts, config, 80)
    plain = MixtureConfig()
    assert [
        digest_json(plain.identity()),
        digest_bytes(mixture.spec.to_json()),
        rows_digest(mixture.weights_table()),
        rows_digest(mixture.parts),
        digest_bytes(plain.model_dump_json().encode()),
    ] == [
        "d1281dfc068fe4f99580dbe9ad4a90a308c965bfcdae2158b27e0c288cda6455",
        "c4a40fa85b750071c96c7ff6a531ef38411bfbdd0192c2ce371b90c42fd77971",
        "0ead77c84d38b72d09f95ade719d6c9f14482b9238bd51ec526160792d115597",
        "b9e7b22d6668d62828a8d079dc8a1502e1081866b8a45ca41aa3e13f0d17cd78",
        "0ded4f2d644e8e1bcf56ffc70eb218d9d3101d991b125c69958417f29afd2a3c",
    ]
    assert MixtureConfig.model_validate_json(plain.model_dump_json()) == plain
    split = MixtureConfig(split={"web": "topic"})
    assert split.identity()["split"] == {"web": "topic"} and "split" in split.model_dump_json()
