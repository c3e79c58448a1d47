"""Training: the published BPE examples, determinism, what the files load as, and the quality report."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.tokens.tokenizer.bundle import TokenizerBundle, TokenizerError
from pipelines.tokens.tokenizer.config import TrainedTokenizer
from pipelines.tokens.tokenizer.encode import Encoder
from pipelines.tokens.tokenizer.report import renyi_efficiency, tokenizer_report
from pipelines.tokens.tokenizer.sample import SampleDocument, sample_documents
from pipelines.tokens.tokenizer.train import train_on_texts, train_tokenizer

from ..conftest import SMALL


def _merges(texts: list[str], count: int) -> list[list[str]]:
    config = TrainedTokenizer(
        vocab_size=257 + count, special_tokens=(), reserved_tokens=0, min_frequency=1, split="gpt2"
    )
    return json.loads(train_on_texts(texts, config).tokenizer_json)["model"]["merges"]


def test_merges_of_the_published_examples() -> None:
    words = ["loop"] * 15 + ["pool"] * 10 + ["loot"] * 10 + ["tool"] * 5 + ["loots"] * 8
    assert _merges(words, 3) == [["o", "o"], ["l", "oo"], ["loo", "t"]]
    words = ["hug"] * 10 + ["pug"] * 5 + ["pun"] * 12 + ["bun"] * 4 + ["hugs"] * 5
    assert _merges(words, 3) == [["u", "g"], ["u", "n"], ["h", "ug"]]


def test_same_bytes_for_any_order_and_number_of_threads(documents: list[SampleDocument], tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"sample_characters": 40_000})
    expected = train_tokenizer(sample_documents(documents, config), config)
    shuffled = random.Random(5).sample(documents, len(documents))
    assert train_tokenizer(sample_documents(shuffled, config), config) == expected
    script = tmp_path / "train.py"
    script.write_text(
        "import json, sys, hashlib\n"
        "from pipelines.tokens.tokenizer.config import TrainedTokenizer\n"
        "from pipelines.tokens.tokenizer.train import train_on_texts\n"
        "given = json.load(open(sys.argv[1]))\n"
        "config = TrainedTokenizer(**given['config'])\n"
        "print(hashlib.sha256(train_on_texts(given['texts'], config).tokenizer_json).hexdigest())\n"
    )
    texts = [document.text for document in sample_documents(documents, config).documents]
    given = tmp_path / "given.json"
    digests = set()
    for threads, seed in (("1", "0"), ("4", "7")):
        random.Random(seed).shuffle(texts)
        given.write_text(json.dumps({"config": config.model_dump(mode="json"), "texts": texts}))
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        command = [sys.executable, str(script), str(given)]
        digests.add(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert len(digests) == 1


def test_sample_equals_a_sort_by_hash(documents: list[SampleDocument]) -> None:
    config = TrainedTokenizer(sample_characters=30_000, domain_characters={"code": 0, "zh_general": 1}, seed=3)
    sample = sample_documents(documents, config)
    reversed_sample = sample_documents(reversed(documents), config)
    assert sample == reversed_sample
    taken = sample.taken()
    assert "code" not in taken and taken["zh_general"][0] == 1
    assert taken["web_en"][1] >= 30_000 and sample.offered["code"][0] > 0
    # Minimal: without its last document the domain is below its budget.
    last = [document for document in sample.documents if document.domain == "web_en"][-1]
    assert taken["web_en"][1] - len(last.text) < 30_000
    # Nested: a larger budget only adds documents.
    larger = sample_documents(documents, config.model_copy(update={"sample_characters": 60_000})).documents
    assert {document.id for document in sample.documents} < {document.id for document in larger}
    other_seed = sample_documents(documents, config.model_copy(update={"seed": 4}))
    assert {d.id for d in other_seed.documents} != {d.id for d in sample.documents}


def test_layout_of_the_vocabulary(trained: TokenizerBundle) -> None:
    facts = trained.facts
    assert facts.vocab_size == 2000
    assert (facts.end_of_text, facts.end_of_text_id) == ("<|endoftext|>", 0)
    assert facts.control_ids == tuple(range(8)) and facts.dtype == "<u2"
    assert TokenizerBundle.from_files(trained.files()) == trained
    with pytest.raises(TokenizerError, match=r"tokenizer_facts\.json"):
        TokenizerBundle.from_files({"tokenizer.json": b"{}"})


@pytest.mark.parametrize(("digits", "expected"), [("single", 5), ("triples", 2), ("runs", 1)])
@pytest.mark.parametrize("split", ["gpt2", "cl100k"])
def test_digits(split: str, digits: str, expected: int) -> None:
    config = TrainedTokenizer(vocab_size=300, min_frequency=1, split=split, digits=digits)
    encoder = Encoder.of(train_on_texts(["x12345"] * 50, config))
    assert len(encoder.encode("x12345")) == expected + 1


def test_loads_in_transformers_and_round_trips(
    trained: TokenizerBundle, documents: list[SampleDocument], tmp_path: Path
) -> None:
    from transformers import PreTrainedTokenizerFast

    for name, data in trained.files().items():
        (tmp_path / name).write_bytes(data)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (loaded.eos_token_id, loaded.pad_token, len(loaded)) == (0, "<|padding|>", 2000)
    encoder = Encoder.of(trained)
    every = " and ".join(SMALL.control_tokens())
    for text in [every, *(f"{d.text[:500]}{every}{d.text[500:1500]}" for d in documents[::40])]:
        ids = loaded(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
        assert ids == encoder.encode(text)
        assert loaded.decode(ids) == text == encoder.decode(ids)
        assert loaded.decode(loaded(text)["input_ids"]) == text


def test_report(trained: TokenizerBundle, documents: list[SampleDocument]) -> None:
    chosen = documents[::20]
    report = tokenizer_report(trained, chosen)
    assert report["round_trip"] == {"documents": len(chosen), "failures": 0, "first_failures": []}
    encoder = Encoder.of(trained)
    for domain, numbers in report["domains"].items():
        mine = [document.text for document in chosen if document.domain == domain]
        assert numbers["bytes"] == sum(len(text.encode()) for text in mine)
        assert numbers["tokens"] == sum(len(encoder.encode(text)) for text in mine)
        assert 1 < numbers["bytes_per_token"] < 6
    assert 0.5 < report["vocabulary"]["utilization"] <= 1
    json.dumps(report, allow_nan=False)


def test_report_counts_words_of_both_kinds_and_lost_text(imported: Callable[[str], TokenizerBundle]) -> None:
    texts = ["It's 12 o'clock", "今天3点", "a▁b"]
    documents = [SampleDocument(bytes([row]) * 16, "d", text) for row, text in enumerate(texts)]
    report = tokenizer_report(imported("stories260K"), documents)
    # It, s, 12, o, clock + three characters and a digit + a, b
    assert report["domains"]["d"]["words"] == 5 + 4 + 2
    # This tokenizer writes spaces as the character of the last text.
    assert report["round_trip"] == {"documents": 3, "failures": 1, "first_failures": ["02" * 16]}


def test_larger_vocabulary_never_compresses_less(documents: list[SampleDocument]) -> None:
    sample = sample_documents(documents, SMALL)
    tokens = []
    for size in (300, 600, 1200):
        config = SMALL.model_copy(update={"vocab_size": size})
        encoder = Encoder.of(train_tokenizer(sample, config))
        tokens.append(sum(len(encoder.encode(document.text[:2000])) for document in documents[::20]))
    assert tokens[0] > tokens[1] > tokens[2]


def test_renyi_efficiency() -> None:
    import numpy as np

    assert renyi_efficiency(np.full(64, 3), 64) == pytest.approx(1.0)
    assert renyi_efficiency(np.array([5, 0, 0, 0]), 4) == pytest.approx(0.0)
    assert renyi_efficiency(np.zeros(4), 4) == 0.0


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"end_of_text": "eot"}, "does not look like"),
        ({"special_tokens": ("<|a|>", "<|a|>")}, "named twice"),
        ({"vocab_size": 260}, "no room"),
        ({"domain_characters": {"web": -1}}, "negative"),
        ({"vocab": 1}, "Extra inputs"),
    ],
)
def test_bad_configuration(fields: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        TrainedTokenizer(**fields)


def test_an_empty_sample_is_an_error() -> None:
    with pytest.raises(TokenizerError, match="no text"):
        train_tokenizer(sample_documents([SampleDocument(b"0" * 16, "web", "")], SMALL), SMALL)
