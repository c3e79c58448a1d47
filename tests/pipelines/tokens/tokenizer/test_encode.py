"""The encoder: no text reaches a control token, one end-of-text per document, and nothing is lost."""

import json
import pickle
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipelines.tokens.tokenizer import encode, patterns
from pipelines.tokens.tokenizer.bundle import TokenizerBundle, TokenizerError
from pipelines.tokens.tokenizer.encode import Encoder
from pipelines.tokens.tokenizer.sample import SampleDocument
from pipelines.tokens.tokenizer.text_only import text_only

IMPORTED = ["minimind-6400", "gpt-neox-dolma", "stories260K"]
BYTE_LEVEL = ["trained", "minimind-6400", "gpt-neox-dolma"]

Bundles = Callable[[str], TokenizerBundle]


@pytest.fixture
def bundle(request: pytest.FixtureRequest, imported: Bundles, trained: TokenizerBundle) -> TokenizerBundle:
    return trained if request.param == "trained" else imported(request.param)


def _added(bundle: TokenizerBundle) -> list[dict[str, Any]]:
    return list(json.loads(bundle.tokenizer_json)["added_tokens"])


@pytest.mark.parametrize("bundle", ["trained", *IMPORTED], indirect=True)
def test_no_text_produces_a_control_token(bundle: TokenizerBundle) -> None:
    encoder = Encoder.of(bundle)
    added = _added(bundle)
    visible = [token["content"] for token in added if token["content"].strip()]
    assert visible and len(bundle.facts.control_ids) == len(visible)
    everything = " ".join(visible)
    texts = [text for name in visible for text in (name, f"a{name}b", f" {name} ", f"{name}{name}", f"\n{name}\n")]
    texts += [everything, everything.replace(" ", ""), everything.upper()]
    tokens, lengths = encoder.encode_documents(texts)
    control = np.isin(tokens, bundle.facts.control_ids)
    ends = np.cumsum(lengths) - 1
    assert np.array_equal(np.flatnonzero(control), ends)
    assert (tokens[ends] == bundle.facts.end_of_text_id).all()
    # The plain tokenizer does produce them: the test can fail.
    plain = Tokenizer.from_buffer(bundle.tokenizer_json)
    assert np.isin(plain.encode(everything, add_special_tokens=False).ids, bundle.facts.control_ids).sum() == len(
        visible
    )
    for text, end, length in zip(texts, ends, lengths, strict=True):
        assert encoder.decode(tokens[end + 1 - length : end]) == text


def test_whitespace_tokens_of_neox_stay_text(imported: Bundles) -> None:
    encoder = Encoder.of(imported("gpt-neox-dolma"))
    plain = Tokenizer.from_buffer(imported("gpt-neox-dolma").tokenizer_json)
    text = "def f():\n        return [\n    1,\n" + " " * 24 + "2]"
    assert encoder.encode(text) == plain.encode(text, add_special_tokens=False).ids
    assert {50270, 50274, 50254} <= set(encoder.encode(text))
    assert len(encoder.facts.text_tokens) == 23
    assert all(token.isspace() for token in encoder.facts.text_tokens)


def test_declared_text_tokens(imported: Bundles) -> None:
    data = imported("gpt-neox-dolma").tokenizer_json
    encoder = Encoder(data, "<|endoftext|>", ("|||IP_ADDRESS|||",))
    assert 0 in encoder.encode("from |||IP_ADDRESS||| on")
    assert 0 not in Encoder(data, "<|endoftext|>").encode("from |||IP_ADDRESS||| on")
    for refused in ("<|padding|>", "<|endoftext|>", "|||NOTHING|||"):
        with pytest.raises(TokenizerError, match="text_tokens"):
            Encoder(data, "<|endoftext|>", (refused,))


@pytest.mark.parametrize("bundle", ["trained", *IMPORTED], indirect=True)
def test_ordinary_text_is_encoded_as_by_the_plain_tokenizer(
    bundle: TokenizerBundle, documents: list[SampleDocument]
) -> None:
    texts = [document.text for document in documents[::10]]
    plain = Tokenizer.from_buffer(bundle.tokenizer_json)
    tokens, lengths = Encoder.of(bundle).encode_documents(texts)
    rows = np.split(tokens, np.cumsum(lengths)[:-1])
    names = [token["content"] for token in _added(bundle) if token["content"].strip()]
    compared = 0
    for text, row in zip(texts, rows, strict=True):
        if not any(name in text for name in names):
            assert row[:-1].tolist() == plain.encode(text, add_special_tokens=False).ids
            compared += 1
    assert compared > 0.9 * len(texts)
    assert np.count_nonzero(tokens == bundle.facts.end_of_text_id) == len(texts)


@pytest.mark.parametrize("bundle", BYTE_LEVEL, indirect=True)
def test_documents_round_trip(bundle: TokenizerBundle, documents: list[SampleDocument]) -> None:
    encoder = Encoder.of(bundle)
    for document in documents[::4]:
        text = unicodedata.normalize("NFC", document.text)
        assert encoder.decode(encoder.encode(text)) == text


@pytest.mark.parametrize("bundle", BYTE_LEVEL, indirect=True)
def test_any_unicode_round_trips(bundle: TokenizerBundle) -> None:
    added = [token["content"] for token in _added(bundle)]
    # NFC by the tokenizer's Unicode version, which knows characters that Python's does not.
    normalizer = Tokenizer.from_buffer(bundle.tokenizer_json).normalizer
    encoder = Encoder.of(bundle)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(added))))
    def round_trip(pieces: list[str]) -> None:
        text = "".join(pieces)
        ids = encoder.encode(text)
        assert not set(ids) & set(bundle.facts.control_ids)
        assert encoder.decode(ids) == (normalizer.normalize_str(text) if normalizer else text)

    round_trip()


@pytest.mark.parametrize(
    "text", ["👩‍👩‍👧‍👦", "\r", "\u00a0x\u3000", "Ｆｕｌｌ１２", "\x00\x01", "e\u0301", "\ufeff", "\U0010ffff"]
)
def test_awkward_characters(trained: TokenizerBundle, text: str) -> None:
    encoder = Encoder.of(trained)
    assert encoder.decode(encoder.encode(text)) == text


def test_empty_documents_are_an_end_of_text(trained: TokenizerBundle) -> None:
    tokens, lengths = Encoder.of(trained).encode_documents(["", "a", ""])
    assert lengths.tolist() == [1, 2, 1] and tokens[[0, 3]].tolist() == [0, 0]
    tokens, lengths = Encoder.of(trained).encode_documents([])
    assert len(tokens) == len(lengths) == 0 and tokens.dtype == "<u2"


@pytest.mark.parametrize("bundle", BYTE_LEVEL, indirect=True)
def test_cutting_long_documents_changes_no_token(
    bundle: TokenizerBundle, documents: list[SampleDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["\n\n".join(d.text[:20_000] for d in documents[start::97]) for start in range(4)]
    texts.append(" don't  stop\u3000now,ok。好的。\r\n\r\n  x   " * 50)
    whole = Encoder.of(bundle).encode_documents(texts)
    cuts = []
    real = patterns.pieces
    monkeypatch.setattr(encode, "pieces", lambda text, size: cuts.append(real(text, 40)) or cuts[-1])
    cut = Encoder.of(bundle).encode_documents(texts)
    assert sum(map(len, cuts)) > 1000
    assert np.array_equal(whole[0], cut[0]) and np.array_equal(whole[1], cut[1])


def test_pieces_join_to_the_text() -> None:
    text = "one two, three.four  五六，七\nnine" * 20
    found = patterns.pieces(text, 7)
    assert "".join(found) == text and len(found) > 20 and all(found)
    assert patterns.pieces("x" * 100, 7) == ["x" * 100]


def test_other_tokenizers_are_not_cut(imported: Bundles) -> None:
    stories = json.loads(text_only(imported("stories260K").tokenizer_json, "</s>").tokenizer_json)
    assert not patterns.can_cut(stories)
    neox = json.loads(text_only(imported("gpt-neox-dolma").tokenizer_json, "<|endoftext|>").tokenizer_json)
    assert patterns.can_cut(neox)
    assert not patterns.can_cut({**neox, "pre_tokenizer": {**neox["pre_tokenizer"], "add_prefix_space": True}})
    assert not patterns.can_cut({**neox, "normalizer": {"type": "Lowercase"}})


def _edited(bundle: TokenizerBundle, edit: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(bundle.tokenizer_json)
    edit(document)
    return json.dumps(document).encode()


def test_saved_truncation_padding_and_dropout_are_not_obeyed(trained: TokenizerBundle) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
        document["padding"] = {
            "strategy": {"Fixed": 512}, "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 1, "pad_type_id": 0, "pad_token": "<|padding|>",
        }  # fmt: skip
        document["model"]["dropout"] = 0.5

    text = "the quick brown fox jumps over the lazy dog " * 5
    data = _edited(trained, edit)
    assert len(Tokenizer.from_buffer(data).encode("a").ids) == 512
    assert Encoder(data, "<|endoftext|>").encode(text) == Encoder.of(trained).encode(text)


@pytest.mark.parametrize("ignore_merges", [False, True])
def test_merges_cannot_spell_a_control_token(trained: TokenizerBundle, ignore_merges: bool) -> None:
    """A vocabulary with merges up to "eot", a control token that text without any added-token matching would reach."""

    def edit(document: dict[str, Any]) -> None:
        model = document["model"]
        vocabulary = model["vocab"]
        vocabulary["zq"] = len(vocabulary)
        vocabulary["zqx"] = len(vocabulary)
        model["merges"] = [["z", "q"], ["zq", "x"], *model["merges"]]
        model["ignore_merges"] = ignore_merges
        document["added_tokens"].append(
            {"id": vocabulary["zqx"], "content": "zqx", "single_word": False, "lstrip": True, "rstrip": True,
             "normalized": True, "special": True}
        )  # fmt: skip

    data = _edited(trained, edit)
    plain = Tokenizer.from_buffer(data)
    plain.encode_special_tokens = True
    assert 2001 in plain.encode("zqx", add_special_tokens=False).ids
    encoder = Encoder(data, "<|endoftext|>")
    ids = encoder.encode("a zqx b zqx")
    assert 2001 not in ids and 2000 in ids and encoder.decode(ids) == "a zqx b zqx"


def test_an_ordinary_token_as_end_of_text_is_kept_out_of_text(trained: TokenizerBundle) -> None:
    ids = Encoder.of(trained).encode(" the")
    assert len(ids) == 1
    encoder = Encoder(trained.tokenizer_json, "Ġthe")
    tokens, lengths = encoder.encode_documents([" the", "x"])
    assert encoder.facts.end_of_text_id == ids[0]
    assert np.count_nonzero(tokens == ids[0]) == 2 and lengths.tolist()[1] == 2
    assert encoder.decode(tokens[: lengths[0] - 1]) == " the"


def test_threads_and_pickling(trained: TokenizerBundle, documents: list[SampleDocument]) -> None:
    texts = [document.text for document in documents[:40]]
    encoder = Encoder.of(trained)
    again = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(encoder.encode_documents(texts)[0], again.encode_documents(texts)[0])


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda d: d["model"]["vocab"].pop("Ġ"), "cannot"),
        (lambda d: d["model"].update(type="Unigram"), "Unigram"),
        (lambda d: d.pop("model"), "not a Hugging Face"),
        (lambda d: d["model"]["vocab"].update(x=0), "two tokens"),
        (lambda d: d["model"]["merges"].append(["nope", "never"]), "cannot load"),
        (lambda d: d["added_tokens"].append({"id": "x"}), "not a Hugging Face"),
    ],
)
def test_damaged_files_are_named(
    trained: TokenizerBundle, edit: Callable[[dict[str, Any]], object], match: str
) -> None:
    with pytest.raises(TokenizerError, match=match):
        Encoder(_edited(trained, edit), "<|endoftext|>")
