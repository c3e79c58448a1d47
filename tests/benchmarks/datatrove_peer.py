"""datatrove's side of the filter benchmark and of the differential test. It runs in datatrove's own environment:

    python -m venv PEER && PEER/bin/pip install "datatrove==0.10.1" spacy==3.8.18 nltk warcio trafilatura \\
        lxml_html_clean faust-cchardet python-magic
    PEER/bin/python tests/benchmarks/datatrove_peer.py verdicts texts.jsonl out.jsonl

and imports nothing of this project. `texts.jsonl` has one JSON string a line. Commands:

- `verdicts`: each filter with one rule switched on at a time, every document met by every rule as it came (a chain
  would show each rule only what the rules before it left): {rule: verdict}, where "error" is an exception of the
  filter.
- `words`: the word list of each document.
- `serve`: reads commands from standard input and answers each with a JSON line, so that a caller can alternate with
  it: `load FILE`, `chain` (the four filters as one pipeline, a dropped document goes no further), `each` (every
  document meets every filter), `rules` (as `each`, the words made beforehand), `archive FILE` (WARC to filtered text).
  An answer has the processor seconds, the documents kept and the peak resident memory in bytes.
"""

import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.utils.text import split_into_sentences, split_into_words

WORD_MODULES = (fineweb_quality_filter, gopher_quality_filter, gopher_repetition_filter)
REPETITION = ("dup_para_frac", "dup_para_char_frac", "dup_line_frac", "dup_line_char_frac")
QUALITY = [
    "min_doc_words",
    "max_doc_words",
    "min_avg_word_length",
    "max_avg_word_length",
    "max_symbol_word_ratio",
    "max_bullet_lines_ratio",
    "max_ellipsis_lines_ratio",
    "max_non_alpha_words_ratio",
    "min_stop_words",
]
NO_FINEWEB = {"line_punct_thr": -1.0, "short_line_thr": 9.0, "char_duplicates_ratio": 9.0, "new_line_ratio": 1e9}


def quality(name: str) -> GopherQualityFilter:
    return GopherQualityFilter(**{other: None for other in QUALITY if other != name})


def repetition(**on: Any) -> GopherRepetitionFilter:
    return GopherRepetitionFilter(**{**dict.fromkeys(REPETITION), "top_n_grams": (), "dup_n_grams": (), **on})


def c4(marks: bool, rule: str) -> C4QualityFilter:
    return C4QualityFilter(
        filter_no_terminal_punct=marks,
        filter_lorem_ipsum=rule == "lorem",
        filter_curly_bracket=rule == "curly",
        min_num_sentences=5 if rule == "sentences" else -1,
    )


def single_rules() -> dict[str, Any]:
    """Our rule name -> datatrove's filter with that rule alone. Hashes and ellipses are one setting there."""
    rules: dict[str, Any] = {
        "gopher_max_duplicate_paragraphs": repetition(dup_para_frac=0.3),
        "gopher_max_duplicate_paragraph_characters": repetition(dup_para_char_frac=0.2),
        "gopher_max_duplicate_lines": repetition(dup_line_frac=0.3),
        "gopher_max_duplicate_line_characters": repetition(dup_line_char_frac=0.2),
    }
    for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16)):
        rules[f"gopher_max_top_{n}_gram"] = repetition(top_n_grams=((n, limit),))
    for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)):
        rules[f"gopher_max_duplicate_{n}_gram"] = repetition(dup_n_grams=((n, limit),))
    names = "min_words max_words min_mean_word max_mean_word - max_bullet_lines max_ellipsis_lines min_letter_words"
    for ours, theirs in zip([*names.split(), "min_stop_words"], QUALITY, strict=True):
        if ours == "-":
            rules["gopher_max_hashes|gopher_max_ellipses"] = quality(theirs)
        else:
            rules[f"gopher_{ours}"] = quality(theirs)
    for variant, marks in (("c4", True), ("c4_any_ending", False)):
        for ours, theirs in (
            ("no_lorem_ipsum", "lorem"),
            ("no_curly_bracket", "curly"),
            ("min_sentences", "sentences"),
        ):
            rules[f"{variant}_{ours}"] = c4(marks, theirs)
    for ours, theirs, limit in (
        ("min_punctuated_lines", "line_punct_thr", 0.12),
        ("max_short_lines", "short_line_thr", 0.67),
        ("max_duplicate_line_characters", "char_duplicates_ratio", 0.01),
        ("max_newlines", "new_line_ratio", 0.3),
    ):
        rules[f"fineweb_{ours}"] = FineWebQualityFilter(**{**NO_FINEWEB, theirs: limit})
    return rules


def chain() -> list[Any]:
    """FineWeb's order; its C4 filter goes without the terminal marks."""
    return [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]


def verdict(step: Any, text: str) -> bool | str:
    try:
        result = step.filter(Document(text=text, id=""))
    except (ZeroDivisionError, ValueError, AssertionError) as error:
        return f"error: {type(error).__name__}"
    return bool(result[0] if isinstance(result, tuple) else result)


def use_words(split: Callable[..., list[str]]) -> None:
    for module in WORD_MODULES:
        module.split_into_words = split


def read(path: str) -> list[str]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").split("\n") if line]


def verdicts(texts: list[str]) -> Iterator[dict[str, bool | str]]:
    use_words(lru_cache(maxsize=1)(split_into_words))
    c4_filters.split_into_sentences = lru_cache(maxsize=1 << 16)(c4_filters.split_into_sentences)
    rules = single_rules()
    for text in texts:
        yield {name: verdict(step, text) for name, step in rules.items()}


def run_chain(texts: list[str], steps: list[Any]) -> int:
    data: Any = (Document(text=text, id=str(number)) for number, text in enumerate(texts))
    for step in steps:
        data = step.run(data)
    return sum(1 for _ in data)


def run_each(texts: list[str], steps: list[Any]) -> int:
    kept = 0
    for text in texts:
        answers = [verdict(step, text) for step in steps]
        kept += all(answer is True for answer in answers)
    return kept


def run_archive(path: str, steps: list[Any]) -> int:
    reader = WarcReader(str(Path(path).parent), glob_pattern=Path(path).name)
    data: Any = Trafilatura(favour_precision=True, timeout=10).run(reader.run())
    for step in steps:
        data = step.run(data)
    return sum(1 for _ in data)


class Server:
    """The state of `serve`: the texts, the filters, and words and sentences that were made beforehand."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.steps = chain()
        self.words: dict[str, list[str]] = {}
        self.sentences: dict[str, list[str]] = {}

    def prepare(self, name: str, argument: str) -> None:
        """What a command needs and its time leaves out."""
        use_words(split_into_words)
        c4_filters.split_into_sentences = split_into_sentences
        if name == "load":
            self.texts = read(argument)
            run_chain(self.texts[:3], chain())
        elif name == "rules":
            use_words(self.known_words)
            c4_filters.split_into_sentences = self.known_sentences
            if len(self.words) != len(set(self.texts)):
                run_each(self.texts, self.steps)

    def known_words(self, text: str, language: str) -> list[str]:
        if text not in self.words:
            self.words[text] = split_into_words(text, language)
        return self.words[text]

    def known_sentences(self, line: str, language: str) -> list[str]:
        if line not in self.sentences:
            self.sentences[line] = split_into_sentences(line, language)
        return self.sentences[line]

    def run(self, name: str, argument: str) -> int:
        if name == "chain":
            return run_chain(self.texts, self.steps)
        if name in ("each", "rules"):
            return run_each(self.texts, self.steps)
        return run_archive(argument, self.steps) if name == "archive" else 0


def serve() -> None:
    server = Server()
    for command in sys.stdin:
        name, _, argument = command.strip().partition(" ")
        server.prepare(name, argument)
        start, wall = processor_seconds(), time.perf_counter()
        kept = server.run(name, argument)
        answer = {
            "seconds": processor_seconds() - start,
            "wall": time.perf_counter() - wall,
            "kept": kept,
            "peak": high_water(),
        }
        print(json.dumps(answer), flush=True)


def processor_seconds() -> float:
    """Of this process and of the children that have ended: text extraction runs in one."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def high_water() -> int:
    """Peak resident bytes of this process, without children. Not `ru_maxrss`, which starts with the parent's value."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def main() -> None:
    command, *paths = sys.argv[1:]
    if command == "serve":
        serve()
        return
    texts = read(paths[0])
    answers: Iterator[Any] = verdicts(texts) if command == "verdicts" else map(split_into_words, texts)
    with Path(paths[1]).open("w", encoding="utf-8") as out:
        for answer in answers:
            out.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
