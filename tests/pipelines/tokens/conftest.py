"""Real texts by domain, a tokenizer trained on them, and the imported ones, made once for the chapter's tests."""

import hashlib
import io
import json
from collections.abc import Callable

import pytest
import zstandard

from pipelines.tokens.tokenizer.bundle import TokenizerBundle
from pipelines.tokens.tokenizer.config import ImportedTokenizer, TrainedTokenizer
from pipelines.tokens.tokenizer.imported import import_tokenizer
from pipelines.tokens.tokenizer.sample import SampleDocument, sample_documents
from pipelines.tokens.tokenizer.train import train_tokenizer
from tests.shared_data import shared

SMALL = TrainedTokenizer(vocab_size=2000, sample_characters=150_000, document_characters=20_000, reserved_tokens=4)


def _texts(domain: str, characters: int) -> list[str]:
    with shared(f"mixture/{domain}.jsonl.zst").open("rb") as stream:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), encoding="utf-8")
        texts: list[str] = []
        held = 0
        for line in lines:
            texts.append(json.loads(line)["text"])
            held += len(texts[-1])
            if held >= characters:
                break
        return texts


@pytest.fixture(scope="session")
def documents() -> list[SampleDocument]:
    """About 1.4 million characters of web, code, Chinese and mathematics."""
    return [
        SampleDocument(hashlib.blake2b(f"{domain} {row}".encode(), digest_size=16).digest(), domain, text)
        for domain in ("web_en", "code", "zh_general", "math_science")
        for row, text in enumerate(_texts(domain, 350_000))
    ]


@pytest.fixture(scope="session")
def trained(documents: list[SampleDocument]) -> TokenizerBundle:
    return train_tokenizer(sample_documents(documents, SMALL), SMALL)


@pytest.fixture(scope="session")
def imported() -> Callable[[str], TokenizerBundle]:
    """`imported("minimind-6400")`, `("gpt-neox-dolma")` or `("stories260K")`, cached."""
    cache: dict[str, TokenizerBundle] = {}

    def load(name: str) -> TokenizerBundle:
        if name not in cache:
            folder = f"tokenizers/{name}" if name != "stories260K" else "models/stories260K-hf"
            file = shared(f"{folder}/tokenizer.json" + (".zst" if name != "stories260K" else ""))
            settings = file.parent / "tokenizer_config.json"
            config = ImportedTokenizer(location=str(file))
            cache[name] = import_tokenizer(
                file.read_bytes(), config, settings.read_bytes() if settings.exists() else None
            )
        return cache[name]

    return load
