"""data-juicer's side of the filter benchmark, in its own environment; it imports nothing of this project:

    python -m venv PEER && PEER/bin/pip install py-data-juicer==1.6.1 aiohttp

(its first run installs ray by itself). Its nearest set are eight filters, words split at white space as its defaults
do: number of words, repeated word 5-grams, repeated character 10-grams, alphanumeric and special characters, mean and
longest line, length. It reads commands from standard input, as `datatrove_peer.py serve` does: `load FILE`, `chain`.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from data_juicer.ops.filter.alphanumeric_filter import AlphanumericFilter
from data_juicer.ops.filter.average_line_length_filter import AverageLineLengthFilter
from data_juicer.ops.filter.character_repetition_filter import CharacterRepetitionFilter
from data_juicer.ops.filter.maximum_line_length_filter import MaximumLineLengthFilter
from data_juicer.ops.filter.special_characters_filter import SpecialCharactersFilter
from data_juicer.ops.filter.text_length_filter import TextLengthFilter
from data_juicer.ops.filter.word_repetition_filter import WordRepetitionFilter
from data_juicer.ops.filter.words_num_filter import WordsNumFilter


def filters() -> list[Any]:
    return [
        WordsNumFilter(min_num=50, max_num=100_000),
        WordRepetitionFilter(rep_len=5, max_ratio=0.3),
        CharacterRepetitionFilter(rep_len=10, max_ratio=0.2),
        AlphanumericFilter(min_ratio=0.6),
        SpecialCharactersFilter(max_ratio=0.4),
        AverageLineLengthFilter(min_len=10),
        MaximumLineLengthFilter(min_len=10),
        TextLengthFilter(min_len=10),
    ]


def run(texts: list[str], steps: list[Any]) -> int:
    """Documents that pass all; each filter sees what the ones before it kept."""
    for step in steps:
        batch = step.compute_stats_batched({"text": texts, "__dj__stats__": [{} for _ in texts]})
        texts = [text for text, kept in zip(texts, step.process_batched(batch), strict=True) if kept]
    return len(texts)


def high_water() -> int:
    """Peak resident bytes of this process, without children. Not `ru_maxrss`, which starts with the parent's value."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def main() -> None:
    texts: list[str] = []
    steps = filters()
    for command in sys.stdin:
        name, _, argument = command.strip().partition(" ")
        if name == "load":
            texts = [json.loads(line) for line in Path(argument).read_text("utf-8").splitlines()]
            run(texts[:3], steps)
        start, wall = time.process_time(), time.perf_counter()
        kept = run(texts, steps) if name == "chain" else 0
        answer = {
            "seconds": time.process_time() - start,
            "wall": time.perf_counter() - wall,
            "kept": kept,
            "peak": high_water(),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
