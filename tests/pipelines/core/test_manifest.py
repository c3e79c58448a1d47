"""Manifests: canonical bytes that read back, contents that follow rows, counts that are conserved."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.core.fingerprint import digest_json
from pipelines.core.manifest import (
    CheckRecord,
    InputReference,
    Manifest,
    Part,
    StoredFile,
    conservation,
    content_of,
    total_counts,
)

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
COUNTS = st.dictionaries(NAMES, st.integers(0, 2**40), max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
FILES = st.builds(
    StoredFile, object=DIGESTS, bytes=st.integers(0), rows=st.none() | st.integers(0), rows_digest=DIGESTS
)
PARTS = st.lists(
    st.builds(Part, name=NAMES, files=st.dictionaries(NAMES, FILES, max_size=2), counts=COUNTS),
    max_size=3,
    unique_by=lambda part: part.name,
).map(tuple)
CHECKS = st.builds(
    CheckRecord,
    name=NAMES,
    passed=st.booleans(),
    values=st.dictionaries(NAMES, st.floats() | st.integers() | NAMES | st.booleans(), max_size=3),
)
INPUTS = st.builds(InputReference, asset=NAMES, partition=st.none() | NAMES, content=DIGESTS, manifest=DIGESTS)
MANIFESTS = st.builds(
    Manifest,
    asset=NAMES,
    partition=st.none() | NAMES,
    artifact_class=st.sampled_from(["pure", "recorded", "trained"]),
    action=DIGESTS,
    content=DIGESTS,
    algorithms=st.dictionaries(NAMES, st.integers(1, 9), max_size=2),
    config=st.dictionaries(NAMES, JSON, max_size=2),
    inputs=st.dictionaries(NAMES, INPUTS, max_size=2),
    parts=PARTS,
    counts=COUNTS,
    checks=st.lists(CHECKS, max_size=2).map(tuple),
    facts=st.dictionaries(NAMES, JSON, max_size=2),
)


def manifest(**fields: Any) -> Manifest:
    base: dict[str, Any] = {name: {} for name in ("algorithms", "config", "inputs", "counts")}
    base |= {"asset": "a", "partition": None, "artifact_class": "pure", "action": "x", "content": "y"}
    return Manifest(**{**base, "parts": (), "checks": (), **fields})


def part(name: str = "00000", rows_digest: str = "r", counts: dict[str, int] | None = None) -> Part:
    return Part(
        name=name,
        files={"documents": StoredFile(object="o", bytes=3, rows=2, rows_digest=rows_digest)},
        counts=counts or {},
    )


@settings(max_examples=150, deadline=None)
@given(MANIFESTS)
def test_every_manifest_reads_back_and_encodes_to_the_same_bytes(value: Manifest) -> None:
    """Whatever the checks and facts hold, NaN included, what was published can be opened."""
    data = value.encode()
    again = Manifest.decode(data)
    assert again.encode() == data
    assert (again.asset, again.parts, again.checks, again.inputs) == (
        value.asset,
        value.parts,
        value.checks,
        value.inputs,
    )


def test_bytes_are_canonical() -> None:
    one = manifest(config={"b": 1, "a": (1, 2)}, facts={"y": "é", "x": None})
    other = manifest(facts={"x": None, "y": "é"}, config={"a": [1, 2], "b": 1})
    assert one.encode() == other.encode()
    assert one.encode() == (
        b'{"action":"x","algorithms":{},"artifact_class":"pure","asset":"a","checks":[],"config":{"a":[1,2],"b":1},'
        b'"content":"y","counts":{},"facts":{"x":null,"y":"\xc3\xa9"},"format":1,"inputs":{},"partition":null,'
        b'"parts":[]}\n'
    )


def test_unknown_fields_and_edits_are_refused() -> None:
    value = json.loads(manifest().encode())
    with pytest.raises(ValidationError, match="host"):
        Manifest.decode(json.dumps({**value, "host": "a machine"}).encode())
    with pytest.raises(ValidationError, match="frozen"):
        manifest().asset = "b"  # type: ignore[misc]


def test_parts_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="parts share a name: 00001"):
        manifest(parts=(part("00000"), part("00001"), part("00001")))


def test_a_check_keeps_what_json_cannot_hold_in_words() -> None:
    check = CheckRecord(name="finite", passed=False, values={"loss": float("nan"), "gain": float("-inf"), "ok": 1.5})
    assert check.values == {"loss": "nan", "gain": "-inf", "ok": 1.5}


def test_content_follows_rows_and_names_but_not_bytes_or_counts() -> None:
    base = (part("0", "r0"), part("1", "r1"))
    digest = content_of("pure", "action", base)
    assert content_of("recorded", "another action", base) == digest
    other_bytes = base[0].model_copy(
        update={"files": {"documents": base[0].files["documents"].model_copy(update={"object": "z", "bytes": 9})}}
    )
    assert content_of("pure", "action", (other_bytes, base[1])) == digest
    changed = [base[::-1], base[:1], (part("0", "r0"), part("1", "r2")), (part("0", "r0"), part("2", "r1")), ()]
    assert digest not in {content_of("pure", "action", parts) for parts in changed}
    file = base[0].files["documents"]
    ways = [{"a": file, "b": file}, {"b": file, "a": file}]
    assert len({content_of("pure", "", (Part(name="0", files=files),)) for files in ways}) == 1


def test_a_trained_artifact_is_its_training_identity() -> None:
    assert content_of("trained", "action", (part(),)) == content_of("trained", "action", ())
    assert content_of("trained", "action", ()) == digest_json({"training": "action"})
    assert content_of("trained", "other", ()) != content_of("trained", "action", ())


@given(st.lists(COUNTS, max_size=4))
def test_counts_are_summed_by_name(counts: list[dict[str, int]]) -> None:
    totals = total_counts(tuple(part(str(number), counts=item) for number, item in enumerate(counts)))
    assert list(totals) == sorted(totals)
    assert totals == {name: sum(item.get(name, 0) for item in counts) for item in counts for name in item}


@given(st.integers(0, 100), st.dictionaries(st.text(max_size=3), st.integers(0, 100), max_size=3), st.integers(-2, 2))
def test_conservation_holds_exactly_when_nothing_is_lost(kept: int, dropped: dict[str, int], error: int) -> None:
    counts = {f"dropped/{name}": count for name, count in dropped.items()}
    counts |= {"rows_in": kept + sum(dropped.values()) + error, "kept": kept, "failed/other": 7}
    check = conservation(counts)
    assert check.passed == (error == 0)
    assert check.blocking
    assert check.values["dropped"] == sum(dropped.values())


def test_sizes_and_rows() -> None:
    value = manifest(parts=(part("0"), part("1"), Part(name="2", files={})))
    assert (value.bytes, value.rows("documents"), value.rows("decisions")) == (6, 4, 0)
