"""Pre-tokenizer patterns, and where a long text can be cut without changing its tokens.

All patterns end a word where a letter is followed by whitespace or by one of a few punctuation marks, whatever came
before, and look behind nowhere. So a text cut there gives the same tokens as the whole. Documents of many megabytes
are encoded piece by piece: one `Encoding` takes over 100 bytes of memory per token.
"""

import re
from typing import Any, Final

_NUMBERS: Final = {"single": r"\p{N}", "triples": r"\p{N}{1,3}", "runs": r" ?\p{N}+"}
_SPLITS: Final = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|%s| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
}
_CUT = re.compile(r"(?<=[^\W\d_])(?=[\s.,;:!?。，、；：！？])")


def split_pattern(split: str, digits: str) -> str:
    """The pre-tokenizer regular expression of a trained tokenizer."""
    return _SPLITS[split] % _NUMBERS[digits]


def can_cut(tokenizer: dict[str, Any]) -> bool:
    """Whether the parsed, text-only tokenizer.json cuts words as `pieces` assumes."""
    if tokenizer.get("normalizer") not in (None, {"type": "NFC"}):
        return False
    if any(token.get("single_word") or not token["content"].isspace() for token in tokenizer["added_tokens"]):
        return False
    outer = tokenizer.get("pre_tokenizer") or {}
    steps = outer.get("pretokenizers", []) if outer.get("type") == "Sequence" else [outer]
    steps = [step for step in steps if step != {"type": "Digits", "individual_digits": True}]
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return False
    if len(steps) == 1:
        return bool(steps[0].get("use_regex", True))
    known = {split_pattern(split, digits) for split in _SPLITS for digits in _NUMBERS}
    first = steps[0]
    return (
        len(steps) == 2
        and first.get("type") == "Split"
        and first.get("pattern", {}).get("Regex") in known
        and first.get("behavior") == "Isolated"
        and not first.get("invert")
        and not steps[1].get("use_regex", True)
    )


def pieces(text: str, size: int) -> list[str]:
    """Cut `text` into pieces of `size` characters or a little more, at safe places only."""
    found: list[str] = []
    start = 0
    while len(text) - start > size:
        cut = _CUT.search(text, start + size)
        if cut is None:
            break
        found.append(text[start : cut.start()])
        start = cut.start()
    found.append(text[start:])
    return found
