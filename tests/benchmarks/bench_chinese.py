"""Words of Chinese against jieba, side by side on the same documents:

    python -m tests.benchmarks.bench_chinese [--megabytes 3] [--rounds 5]

Both give the words of every document, white space left out: ours as flat arrays with hashes, jieba as strings.
Processor seconds of one process, in turns; the ratio is that of each pair, as median [least - greatest]. It counts only
when the words of every document are equal, which is checked first. Beside it, what `unspaced: words` adds to the
statistics family on Chinese and on English text.
"""

import argparse
import statistics as numbers
import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from pipelines.corpus.chinese_dictionary import dictionary
from pipelines.corpus.filters.blocks import text_blocks
from pipelines.corpus.filters.characters import character_flags
from pipelines.corpus.filters.chinese_words import chinese_words
from pipelines.corpus.filters.config import StatisticsConfig
from pipelines.corpus.filters.statistics import statistics_part
from pipelines.corpus.filters.words import segment_words
from tests.pipelines.corpus.filters.corpus import documents, mixture
from tests.pipelines.corpus.jieba_peer import jieba_words


def ours(texts: pa.Array) -> list[list[str]]:
    found = []
    for block in text_blocks(texts):
        words = chinese_words(block, segment_words(block, character_flags()))
        text = block.characters.tobytes().decode("utf-32-le")
        for first, last in zip(words.offsets[:-1], words.offsets[1:], strict=True):
            found.append([text[words.starts[word] : words.stops[word]] for word in range(first, last)])
    return found


def arrays(texts: pa.Array) -> None:
    for block in text_blocks(texts):
        chinese_words(block, segment_words(block, character_flags()))


def theirs(texts: Sequence[str]) -> list[list[str]]:
    return [jieba_words(text) for text in texts]


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def shown(values: Sequence[float]) -> str:
    return f"{numbers.median(values):.2f} [{min(values):.2f} - {max(values):.2f}]"


def pairs(rounds: int, one: Callable[[], float], other: Callable[[], float]) -> list[tuple[float, float]]:
    """Times of both sides in turns, after one run of each that is not counted."""
    one(), other()
    return [(one(), other()) for _ in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args()
    chosen, size = [], 0
    for text in mixture("zh_general", 5000):
        if size < settings.megabytes * 1e6:
            chosen.append(text)
            size += len(text.encode())
    column = pa.array(chosen, pa.large_string())
    started = time.monotonic()
    dictionary()
    print(f"{len(chosen)} documents, {size / 1e6:.1f} MB; dictionary loaded in {time.monotonic() - started:.2f} s")
    mine, other = ours(column), theirs(chosen)
    print(f"{sum(map(len, other)):,} words; documents with other words than jieba's: "
          f"{sum(a != b for a, b in zip(mine, other, strict=True))}")  # fmt: skip
    timed = pairs(settings.rounds, lambda: seconds(arrays, column), lambda: seconds(theirs, chosen))
    print(
        f"words, MB/s   ours {shown([size / 1e6 / a for a, _ in timed])}   "
        f"jieba {shown([size / 1e6 / b for _, b in timed])}"
    )
    print(f"ratio         {shown([b / a for a, b in timed])}")
    english = [*mixture("web_en", 800), *mixture("books_en", 40)]
    for name, texts in (("Chinese", chosen), ("English", english)):
        tables = {"documents": documents(texts)}
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        plain, words = StatisticsConfig(), StatisticsConfig(unspaced="words")

        def timed_by(config: StatisticsConfig, tables: dict[str, pa.Table] = tables) -> float:
            return seconds(statistics_part, tables, config)

        timed = pairs(settings.rounds, lambda p=plain: timed_by(p), lambda w=words: timed_by(w))  # type: ignore[misc]
        print(f"statistics of {name}, MB/s   characters {shown([megabytes / a for a, _ in timed])}   "
              f"words {shown([megabytes / b for _, b in timed])}   words / characters, seconds "
              f"{shown([b / a for a, b in timed])}")  # fmt: skip


if __name__ == "__main__":
    main()
