"""Verdicts against datatrove 0.10.1, rule by rule, where its environment is at hand.

`GRISTMILL_DATATROVE` names the Python of an environment with datatrove; `tests/benchmarks/datatrove_peer.py` says
how to make one. Without it these tests skip. `datatrove_differences.json` lists every document of the mixture (12,824
of six domains) on which a verdict differs, by rule, with the reason. With identical segmentation there is none; what
remains with our own comes from words alone. Differences that only made-up documents show are in `MADE`.
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.core.decisions import decide
from pipelines.corpus.filters.blocks import text_blocks
from pipelines.corpus.filters.characters import HAN, PUNCTUATION, SOLO, character_flags, running_flags
from pipelines.corpus.filters.config import StatisticsConfig
from pipelines.corpus.filters.presets import PRESETS
from pipelines.corpus.filters.statistics import statistics_table
from pipelines.corpus.filters.words import given_words, segment_words
from tests.pipelines.corpus.filters.corpus import DOMAINS, documents, mixture

PEER = Path(__file__).parents[3] / "benchmarks" / "datatrove_peer.py"
LISTED = Path(__file__).parent / "datatrove_differences.json"
CONFIG = StatisticsConfig(unspaced="runs")
RULES = [rule for name in ("gopher", "c4_any_ending", "fineweb", "c4") for rule in PRESETS[name]]
STEP = 40
"""Beside the listed documents every 40th of a domain is compared."""

MADE = {
    "n-grams that differ only in where a word ends are one there, since it joins words without a separator": (
        "gopher_max_duplicate_5_gram",
        " ".join(f"a b c d e{n} x ab c d e{n} y{n}" for n in range(9)) + " a bc d e f" + " ab c d e f" * 2,
    ),
    "a line of citations alone has a sentence there": ("c4_any_ending_min_sentences", "\n".join(["[1] [2] [3]"] * 5)),
    "without a plain word the mean of no lengths is no number there, and passes": ("gopher_min_mean_word", "! ? ! ?"),
}


@pytest.fixture(scope="module")
def peer():
    python = os.environ.get("GRISTMILL_DATATROVE")
    if not python:
        pytest.skip("GRISTMILL_DATATROVE names no Python with datatrove: see tests/benchmarks/datatrove_peer.py")
    return python


def ask(python: str, command: str, texts: Sequence[str], folder: Path) -> list:
    source, target = folder / "texts.jsonl", folder / f"{command}.jsonl"
    source.write_text("".join(json.dumps(text) + "\n" for text in texts))
    subprocess.run([python, str(PEER), command, str(source), str(target)], check=True, cwd=folder)
    return [json.loads(line) for line in target.read_text().split("\n") if line]


def failed_rules(texts: Sequence[str], words: list[list[str]] | None = None) -> list[set[str]]:
    def segment(block):
        if words is None:
            return segment_words(block, running_flags())
        return given_words(block, words[block.first : block.first + len(block.offsets) - 1], running_flags())

    table = statistics_table(documents(list(texts)), CONFIG, segment)
    return [{item["rule"] for item in row} for row in decide(table, RULES).column("failed").to_pylist()]


def differences(failed: Sequence[set[str]], verdicts: Sequence[dict]) -> list[list[str]]:
    """For each document the rules on which the two sides differ."""
    return [
        sorted(n for n, passed in answers.items() if passed is not (not any(rule in ours for rule in n.split("|"))))
        for ours, answers in zip(failed, verdicts, strict=True)
    ]


def reason(text: str, theirs: Sequence[str]) -> str:
    """What kind of word the two segmentations cut differently, most often, in this document."""
    [block] = text_blocks(documents([text]).column("text"), 1 << 40)
    own, other = segment_words(block, running_flags()), given_words(block, [list(theirs)], running_flags())
    spans = [set(zip(side.starts.tolist(), side.stops.tolist(), strict=True)) for side in (own, other)]
    kinds: Counter[str] = Counter()
    for start, stop in spans[0] ^ spans[1]:
        word = text[start:stop]
        flags = [int(character_flags()[ord(character)]) for character in word]
        if any(flag & (HAN | SOLO) for flag in flags):
            kinds["punctuation and symbols in runs of Chinese"] += 1
        elif "$" in word:
            kinds["a currency sign after a letter, such as A$"] += 1
        elif word.isalpha() or "'" in word or "’" in word:
            kinds["listed spellings: contractions without an apostrophe, clock times"] += 1
        elif any(flag & PUNCTUATION for flag in flags) or not word.isalnum():
            kinds["punctuation in codes, formulas and links"] += 1
        else:
            kinds["numbers with letters"] += 1
    return kinds.most_common(1)[0][0] if kinds else "none: the words are the same"


def chosen() -> dict[str, list[int]]:
    listed = json.loads(LISTED.read_text())["documents"]
    result = {}
    for domain in DOMAINS:
        known = {int(key.partition(":")[2]) for key in listed if key.partition(":")[0] == domain}
        result[domain] = sorted(known | set(range(0, len(mixture(domain, 1_000_000)), STEP)))
    return result


@pytest.mark.slow
def test_every_difference_is_listed_and_none_is_left_with_the_same_words(peer, tmp_path):
    keys = [(domain, number) for domain, numbers in chosen().items() for number in numbers]
    texts = [mixture(domain, 1_000_000)[number] for domain, number in keys]
    verdicts, words = (ask(peer, command, texts, tmp_path) for command in ("verdicts", "words"))
    assert not any(differences(failed_rules(texts, words), verdicts))
    found = {
        f"{domain}:{number}": {"rules": rules, "reason": reason(text, listed)}
        for (domain, number), text, listed, rules in zip(
            keys, texts, words, differences(failed_rules(texts), verdicts), strict=True
        )
        if rules
    }
    assert found == json.loads(LISTED.read_text())["documents"]


@pytest.mark.slow
@pytest.mark.parametrize("why", MADE)
def test_made_documents_show_the_known_differences(peer, tmp_path, why):
    rule, text = MADE[why]
    [verdict], [words] = (ask(peer, command, [text], tmp_path) for command in ("verdicts", "words"))
    [rules] = differences(failed_rules([text], [words]), [verdict])
    assert rule in rules


def test_the_list_is_within_the_bound():
    """Every rule agrees on 99 % of the 12,824 documents and more, so do all rules together; counts are those listed."""
    listed = json.loads(LISTED.read_text())
    rules = Counter(rule for item in listed["documents"].values() for rule in item["rules"])
    assert (
        rules == listed["by_rule"] and Counter(i["reason"] for i in listed["documents"].values()) == listed["by_reason"]
    )
    assert len(listed["documents"]) <= 0.01 * listed["compared"] and listed["compared"] == 12_824


def test_our_side_of_the_listed_documents_stands():
    """What the list says needs no peer to be noticed: our own verdicts on the listed documents are recorded too."""
    listed = json.loads(LISTED.read_text())["ours"]
    for domain in DOMAINS:
        numbers = [int(key.partition(":")[2]) for key in listed if key.partition(":")[0] == domain]
        failed = failed_rules([mixture(domain, 1_000_000)[number] for number in numbers])
        assert [sorted(rules) for rules in failed] == [listed[f"{domain}:{number}"] for number in numbers]
