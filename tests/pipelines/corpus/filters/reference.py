"""A slow, plain-Python account of every text statistic, written from the published rules with str methods alone.

It shares no code with the kernels except the words: a caller passes the word list of the text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

GOPHER_STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
SYMBOLS = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．：；？～") | {
    chr(code) for code in (*range(9), 11, 12, *range(13, 32), *range(127, 160))
}
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def _share(top: float, bottom: float) -> float | None:
    return top / bottom if bottom else None


def duplicates(items: Sequence[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = characters = 0
    for item in items:
        if item in seen:
            count += 1
            characters += len(item)
        seen.add(item)
    return count, characters


def top_gram(words: Sequence[str], n: int) -> int:
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def duplicate_grams(words: Sequence[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    characters = i = 0
    while i + n <= len(words):
        gram = tuple(words[i : i + n])
        if gram in seen:
            characters += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return characters


def repeated_13_grams(text: str) -> float | None:
    plain = "".join(c.lower() if c.isascii() else c for c in text if not c.isspace())
    grams = Counter(plain[i : i + 13] for i in range(len(plain) - 12))
    return _share(sum(count for count in grams.values() if count > 1), sum(grams.values()))


def c4(text: str, terminal: bool, sentences: Any) -> dict[str, int]:
    """The line filter; `sentences` counts the sentences of one cleaned line."""
    result = Counter(lorem=0, curly=0, kept=0, kept_characters=0, sentences=0)
    for line in text.splitlines():
        line = line.strip()
        words = line.split()
        if any(len(word) > 1000 for word in words):
            result["long"] += 1
            continue
        line = CITATION.sub("", line)
        if terminal and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            result["no_mark"] += 1
            continue
        if len(words) < 3:
            result["few"] += 1
            continue
        lower = line.lower()
        result["lorem"] += "lorem ipsum" in lower
        if "javascript" in lower:
            result["javascript"] += 1
            continue
        result["curly"] += "{" in line
        if any(phrase in lower for phrase in POLICY):
            result["policy"] += 1
            continue
        result["kept"] += 1
        result["kept_characters"] += len(line)
        result["sentences"] += sentences(line)
    return result


def statistics(text: str, words: Sequence[str], ends: frozenset[str], sentences: Any) -> dict[str, float | None]:
    """Every column that does not need our own sentence spans; `ends` are the sentence marks of every script."""
    plain = [word for word in words if any(c not in SYMBOLS for c in word)]
    lines = re.split(r"\n+", text) if text else []
    paragraphs = re.split(r"\n{2,}", text.strip()) if text else []
    split = text.splitlines()
    solid = [line for line in text.split("\n") if line.strip()]
    marked, anything = c4(text, True, sentences), c4(text, False, sentences)
    whole = text.lower()
    result: dict[str, float | None] = {
        "n_characters": len(text),
        "n_words": len(words),
        "n_plain_words": len(plain),
        "mean_word_characters": _share(sum(map(len, plain)), len(plain)),
        "hashes_per_word": _share(text.count("#"), len(words)),
        "ellipses_per_word": _share(text.count("...") + text.count("…"), len(words)),
        "letter_word_share": _share(sum(any(c.isalpha() for c in word) for word in words), len(words)),
        "distinct_stop_words_english": len(GOPHER_STOP_WORDS & set(words)),
        "n_lines": len(lines),
        "n_paragraphs": len(paragraphs),
        "bullet_line_share": _share(sum(line.lstrip().startswith(("•", "-")) for line in split), len(split)),
        "ellipsis_line_share": _share(sum(line.rstrip().endswith(("...", "…")) for line in split), len(split)),
        "duplicate_line_share": _share(duplicates(lines)[0], len(lines)),
        "duplicate_line_character_share": _share(duplicates(lines)[1], len(text)),
        "duplicate_paragraph_share": _share(duplicates(paragraphs)[0], len(paragraphs)),
        "duplicate_paragraph_character_share": _share(duplicates(paragraphs)[1], len(text)),
        **{f"top_{n}_gram_character_share": _share(top_gram(words, n), len(text)) for n in (2, 3, 4)},
        **{f"duplicate_{n}_gram_character_share": _share(duplicate_grams(words, n), len(text)) for n in range(5, 11)},
        "duplicate_character_13_gram_share": repeated_13_grams(text),
        "punctuated_line_share": _share(sum(line[-1] in ends for line in solid), len(solid)),
        "short_line_share": _share(sum(len(line) <= 30 for line in solid), len(solid)),
        "duplicate_nonblank_line_character_share": _share(duplicates(solid)[1], len(text.replace("\n", ""))),
        "newlines_per_word": _share(text.count("\n"), len(words)),
        "mean_line_characters": _share(sum(map(len, solid)), len(solid)),
        "digit_character_share": _share(sum(c.isdecimal() for c in text), len(text)),
        "n_replacement_characters": text.count("\ufffd"),
        "javascript_lines": sum("javascript" in CITATION.sub("", line.strip()).lower() for line in split),
        "c4_dropped_long_word": marked["long"],
        "c4_dropped_no_terminal_mark": marked["no_mark"],
        "c4_dropped_few_words": marked["few"],
        "c4_dropped_javascript": marked["javascript"],
        "c4_dropped_policy": marked["policy"],
    }
    if "[" not in text:
        result["lorem_ipsum_lines"] = sum("lorem ipsum" in line for line in whole.splitlines())
        result["curly_bracket_lines"] = sum("{" in line for line in split)
    for prefix, counted in (("c4", marked), ("c4_any_ending", anything)):
        result[f"{prefix}_lorem_ipsum_lines"] = counted["lorem"]
        result[f"{prefix}_curly_bracket_lines"] = counted["curly"]
        result[f"{prefix}_kept_lines"] = counted["kept"]
        result[f"{prefix}_kept_characters"] = counted["kept_characters"]
        result[f"{prefix}_sentences"] = counted["sentences"]
    return result
