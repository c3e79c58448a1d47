"""The languages inside one document, paragraph by paragraph.

In: a text. 1. Its lines, white space aside; short ones are joined with what follows until they have `min_characters`,
because a menu entry has no language that a model could tell (on sentences of 75 languages lid.176 is right for 63 %
of the first 20 characters, 72 % of 40, 77 % of 80 and no more of 160). 2. Of more than `max_paragraphs`, as many
evenly spread ones. 3. Each is identified by itself; one below `min_score` takes the document's language. 4. Shares by
characters. Out: the columns of PARAGRAPH_TYPES. Cost: another look at the characters that are identified.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.config import ParagraphConfig

PARAGRAPHS: Final = Algorithm("paragraph_languages", 1)

PARAGRAPH_TYPES: Final = {
    "paragraph_languages": pa.large_string(),
    "paragraph_main_share": pa.float64(),
    "paragraph_second_language": pa.large_string(),
    "paragraph_second_share": pa.float64(),
    "mixed_language": pa.bool_(),
}

Guesser = Callable[[str], Sequence[tuple[str, float]]]
"""The likeliest language of a text with its score; nothing for a blank text."""


def paragraph_row(
    text: str, document: tuple[str, float], config: ParagraphConfig, guess: Guesser
) -> Iterator[tuple[str, Any]]:
    """(column, value) of one text whose likeliest language is `document`."""
    weights: dict[str, int] = {}
    for paragraph in spread(paragraphs_of(text, config.min_characters), config.max_paragraphs):
        found = guess(paragraph[: config.max_characters])
        language = found[0][0] if found and found[0][1] >= config.min_score else document[0]
        weights[language] = weights.get(language, 0) + len(paragraph)
    total = sum(weights.values())
    shares = sorted(((weight / total, name) for name, weight in weights.items()), key=lambda item: (-item[0], item[1]))
    shown = [f"{name}:{share:.2f}" for share, name in shares if share >= 0.005]
    second = shares[1] if len(shares) > 1 else (0.0, None)
    yield "paragraph_languages", " ".join(shown)
    yield "paragraph_main_share", shares[0][0]
    yield "paragraph_second_language", second[1]
    yield "paragraph_second_share", second[0]
    yield "mixed_language", second[0] >= config.mixed_share


def paragraphs_of(text: str, min_characters: int) -> list[str]:
    """Runs of lines with at least `min_characters` characters; the last run may have fewer only if it is alone."""
    runs: list[str] = []
    held: list[str] = []
    size = 0
    for line in text.split("\n"):
        if not (stripped := line.strip()):
            continue
        held.append(stripped)
        size += len(stripped)
        if size >= min_characters:
            runs.append(" ".join(held))
            held, size = [], 0
    if held and runs:
        runs[-1] = " ".join([runs[-1], *held])
    elif held:
        runs.append(" ".join(held))
    return runs


def spread(items: list[str], limit: int) -> list[str]:
    """At most `limit` items at even distances, the first among them."""
    if len(items) <= limit:
        return items
    return [items[number * len(items) // limit] for number in range(limit)]
