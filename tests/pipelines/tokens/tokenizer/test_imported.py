"""Importing tokenizers: the end of text, compression, hostile and ambiguous files."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.tokens.tokenizer.bundle import TokenizerBundle, TokenizerError
from pipelines.tokens.tokenizer.config import ImportedTokenizer
from pipelines.tokens.tokenizer.encode import Encoder
from pipelines.tokens.tokenizer.imported import import_tokenizer

CONFIG = ImportedTokenizer(location="here/tokenizer.json")


@pytest.mark.parametrize(
    ("name", "end", "number", "size"),
    [
        ("minimind-6400", "<|endoftext|>", 0, 6400),
        ("gpt-neox-dolma", "<|endoftext|>", 50279, 50280),
        ("stories260K", "</s>", 2, 512),
    ],
)
def test_facts(imported: Callable[[str], TokenizerBundle], name: str, end: str, number: int, size: int) -> None:
    facts = imported(name).facts
    assert (facts.end_of_text, facts.end_of_text_id, facts.vocab_size) == (end, number, size)
    assert facts.dtype == "<u2"


def test_loads_in_transformers(imported: Callable[[str], TokenizerBundle], tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    for name in ("minimind-6400", "gpt-neox-dolma", "stories260K"):
        bundle = imported(name)
        folder = tmp_path / name
        folder.mkdir()
        for file, data in bundle.files().items():
            (folder / file).write_bytes(data)
        loaded = PreTrainedTokenizerFast.from_pretrained(folder)
        text = f"for x in y:\n    say('你好 {bundle.facts.end_of_text} ok')"
        ids = Encoder.of(bundle).encode(text)
        assert loaded.decode(ids) == text
        assert max(ids) < len(loaded)


def test_a_chat_configuration_does_not_decide_the_end_of_text(imported: Callable[[str], TokenizerBundle]) -> None:
    bundle = imported("minimind-6400")
    settings = json.loads(bundle.tokenizer_config)
    assert settings["eos_token"] == "<|im_end|>" and bundle.facts.end_of_text == "<|endoftext|>"
    assert "chat_template" in settings


def test_compressed_or_not_gives_the_same(imported: Callable[[str], TokenizerBundle]) -> None:
    data = imported("stories260K").tokenizer_json
    assert import_tokenizer(gzip.compress(data), CONFIG) == import_tokenizer(data, CONFIG)
    with pytest.raises(TokenizerError, match=r"here/tokenizer\.json.*cannot be read"):
        import_tokenizer(gzip.compress(data)[:-20], CONFIG)


def test_code_named_by_a_configuration_is_dropped(imported: Callable[[str], TokenizerBundle]) -> None:
    settings = {
        "auto_map": {"AutoTokenizer": ["evil.Code", None]},
        "tokenizer_class": "Evil",
        "unk_token": {"content": "u"},
    }
    bundle = import_tokenizer(imported("stories260K").tokenizer_json, CONFIG, json.dumps(settings).encode())
    kept = json.loads(bundle.tokenizer_config)
    assert "auto_map" not in kept and kept["tokenizer_class"] == "PreTrainedTokenizerFast" and kept["unk_token"] == "u"


def test_an_unclear_end_of_text_is_asked_for(imported: Callable[[str], TokenizerBundle]) -> None:
    document = json.loads(imported("stories260K").tokenizer_json)
    document["added_tokens"][1]["content"] = "<eos>"
    document["model"]["vocab"]["<eos>"] = document["model"]["vocab"].pop("<s>")
    document["post_processor"] = None
    data = json.dumps(document).encode()
    with pytest.raises(TokenizerError, match=r"several are possible.*<eos>.*</s>"):
        import_tokenizer(data, CONFIG)
    declared = CONFIG.model_copy(update={"end_of_text": "<eos>"})
    assert import_tokenizer(data, declared).facts.end_of_text_id == 1
    with pytest.raises(TokenizerError, match="no token of"):
        import_tokenizer(data, CONFIG.model_copy(update={"end_of_text": "<end>"}))
    document["added_tokens"] = []
    with pytest.raises(TokenizerError, match="none is evident"):
        import_tokenizer(json.dumps(document).encode(), CONFIG)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"model": 3}', b"\xff\xfe\x00", b"[" * 100_000])
def test_files_that_are_no_tokenizer(data: bytes) -> None:
    with pytest.raises(TokenizerError, match=r"here/tokenizer\.json"):
        import_tokenizer(data, CONFIG)
