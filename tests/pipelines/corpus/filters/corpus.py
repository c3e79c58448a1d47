"""Documents for the filter tests: real ones of every domain, and tables around any list of texts."""

import io
import json
from functools import cache

import pyarrow as pa
import zstandard

from pipelines.core.documents import document_id, text_hash
from pipelines.corpus.filters.blocks import text_blocks
from pipelines.corpus.filters.characters import character_flags
from pipelines.corpus.filters.words import segment_words
from tests.shared_data import shared

DOMAINS = ("web_en", "books_en", "wiki_en", "zh_general", "code", "math_science")


@cache
def mixture(domain: str, count: int, step: int = 1) -> tuple[str, ...]:
    """Up to `count` texts of one domain of the shared mixture, every `step`-th."""
    with shared(f"mixture/{domain}.jsonl.zst").open("rb") as raw:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        texts = []
        for number, line in enumerate(stream):
            if number % step == 0:
                texts.append(json.loads(line)["text"])
            if len(texts) == count:
                break
    return tuple(texts)


def documents(texts: list[str] | tuple[str, ...]) -> pa.Table:
    """The columns of a document table that the filters look at."""
    return pa.table(
        {
            "id": pa.array([document_id("test.one", str(number)) for number in range(len(texts))], pa.binary(16)),
            "text_hash": pa.array([text_hash(text) for text in texts], pa.binary(16)),
            "text": pa.array(list(texts), pa.large_string()),
        }
    )


def words_of_texts(texts: list[str] | tuple[str, ...], limit: int = 1 << 20) -> list[list[str]]:
    """The words of every text as strings."""
    result = []
    for block in text_blocks(pa.array(list(texts), pa.large_string()), limit):
        words = segment_words(block, character_flags())
        text = block.characters.tobytes().decode("utf-32-le")
        for first, last in zip(words.offsets[:-1], words.offsets[1:], strict=True):
            result.append([text[words.starts[word] : words.stops[word]] for word in range(first, last)])
    return result
