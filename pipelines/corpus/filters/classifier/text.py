"""A text as one line that fastText reads whole, and as words where the script has no spaces.

fastText cuts words at ASCII white space alone, ends a line at the word `</s>` (what follows is ignored, so a page
could hide behind it) and takes every word that starts with `__label__` for a label (so a page could label itself in
training). Steps: cut; lower case; white space to one space; a space around every character of a script without
spaces, so that word bigrams are character bigrams; both markers broken up.
"""

import re
from typing import Final

from pipelines.core.fingerprint import Algorithm

FASTTEXT_LINE: Final = Algorithm("fasttext_line", 1)

LABEL: Final = "__label__"
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff])"
)
_LINE_END: Final = re.compile(r"</s>")
_SPACE = re.compile(r"[\s\x00]+")


def one_line(text: str, max_characters: int) -> str:
    """The line of a text, without a line end; empty for a text of white space."""
    cut = _UNSPACED.sub(r" \1 ", text[:max_characters].lower())
    cut = _LINE_END.sub("< /s>", cut).replace(LABEL, "__ label__")
    return _SPACE.sub(" ", cut).strip()


def predictable(text: str, max_characters: int) -> str:
    """The start of a text for a model that was trained on raw text: one line, with no word that ends it."""
    return _LINE_END.sub("< /s>", text[:max_characters].replace("\n", " "))
