import json

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.corpus.cleaning.config import EditsConfig
from pipelines.corpus.cleaning.edits import EDIT_SCHEMA, OffsetMap, SpecialTokenError, apply_edits, check_placeholders
from pipelines.corpus.privacy.config import SensitiveSpansConfig
from pipelines.corpus.privacy.spans import Span, spans_column, spans_part
from tests.pipelines.corpus.cleaning.records import documents, records
from tests.shared_data import shared

PLACEHOLDERS = {str(kind): text for kind, text in EditsConfig().placeholders.items()}


def edit(texts: list[str], spans: list[list[Span]]) -> tuple[list[str], pa.Table]:
    table = documents(texts)
    array, edits = apply_edits(table["id"], table["text"], pa.chunked_array([spans_column(spans)]), PLACEHOLDERS)
    return array.to_pylist(), edits


@st.composite
def edited_texts(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """A text in several alphabets and disjoint spans on its character borders."""
    text = draw(st.text(alphabet="ab é中😀.@1", max_size=40))
    borders = np.cumsum([0, *(len(c.encode()) for c in text)]).tolist()
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=10)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    kinds = draw(st.lists(st.sampled_from(sorted(PLACEHOLDERS)), min_size=len(pairs), max_size=len(pairs)))
    return text, [Span(k, borders[a], borders[b]) for k, (a, b) in zip(kinds, pairs, strict=True)]


@settings(max_examples=150, deadline=None)
@given(st.lists(edited_texts(), min_size=1, max_size=4))
def test_edits_equal_plain_splicing_and_offsets_map_both_ways(cases: list[tuple[str, list[Span]]]) -> None:
    texts, spans = [case[0] for case in cases], [case[1] for case in cases]
    clean, edits = edit(texts, spans)
    for row, (text, own) in enumerate(cases):
        data, expected, cursor, origin = text.encode(), b"", 0, []
        for span in own:
            expected += data[cursor : span.start]
            origin += list(range(cursor, span.start)) + [None] * len(PLACEHOLDERS[span.kind])
            expected += PLACEHOLDERS[span.kind].encode()
            cursor = span.end
        expected += data[cursor:]
        origin += list(range(cursor, len(data)))
        assert clean[row] == expected.decode()
        offsets = OffsetMap.of(edits, documents(texts)["id"][row].as_py())
        for at, original in enumerate(origin):
            first, last = offsets.to_original(at, at + 1)
            if original is None:
                assert (first, last) in {(s.start, s.end) for s in own}
                assert offsets.to_clean(first, last)[0] <= at < offsets.to_clean(first, last)[1]
            else:
                assert (first, last) == (original, original + 1)
                assert offsets.to_clean(first, last) == (at, at + 1)
        assert offsets.to_original(0, len(expected)) == (0, len(data))
        assert offsets.to_clean(0, len(data)) == (0, len(expected))


def test_real_documents_are_clean_after_one_pass_and_unchanged_by_a_second() -> None:
    texts = [r["text"] for name in ("web_en", "code", "zh_general") for r in records(f"mixture/{name}.jsonl.zst")]
    table, config = documents(texts), SensitiveSpansConfig()
    spans = spans_part({"documents": table}, config)
    clean, edits = apply_edits(table["id"], table["text"], spans.tables["sensitive_spans"]["spans"], PLACEHOLDERS)
    assert edits.schema == EDIT_SCHEMA and len(edits) > 200
    again = spans_part({"documents": documents(clean.to_pylist())}, config)
    assert all(again.counts[f"spans/{kind}"] == 0 for kind in PLACEHOLDERS)
    lost = sum(len(a.encode()) for a in texts) - sum(len(b.encode()) for b in clean.to_pylist())
    removed = np.asarray(edits["end"]) - np.asarray(edits["start"]) - np.asarray(edits["replacement_length"])
    assert lost == removed.sum()


@pytest.mark.parametrize(
    "spans",
    [[("email", 0, 9)], [("email", 0, 2), ("email", 1, 3)], [("email", 2, 2)], [("email", 1, 2)], [("email", 4, 6)]],
)
def test_spans_of_another_text_are_refused(spans: list[tuple[str, int, int]]) -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        edit(["中ab"], [[Span(*span) for span in spans]])


def test_a_kind_without_placeholder_names_the_setting() -> None:
    with pytest.raises(ValueError, match=r"kind 'bank_card'.*cleaning\.edits\.placeholders"):
        edit(["abc"], [[Span("bank_card", 0, 1)]])


@pytest.mark.parametrize(
    "text", ["<s>", "<|endoftext|>", "</s>", "[MASK]", "<pad>", "EMAIL", "a@b.com", "<a@b.com>", ""]
)
def test_placeholders_that_could_be_special_tokens_or_spans_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        EditsConfig(placeholders={"email": text})


def test_placeholders_against_the_special_tokens_of_real_tokenizers() -> None:
    """The GPT-NeoX tokenizer of Dolma has `|||EMAIL_ADDRESS|||` among its added tokens; a part of it collides."""
    names = ("gpt-neox-dolma", "minimind-6400")
    raw = [shared(f"tokenizers/{name}/tokenizer.json.zst").read_bytes() for name in names]
    tokens = [
        token["content"]
        for data in raw
        for token in json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(data))["added_tokens"]
        if token["content"].strip()
    ]
    check_placeholders(PLACEHOLDERS, tokens)
    assert "|||EMAIL_ADDRESS|||" in tokens
    with pytest.raises(SpecialTokenError, match="EMAIL_ADDRESS"):
        check_placeholders({"email": "|EMAIL_ADDRESS|"}, tokens)
