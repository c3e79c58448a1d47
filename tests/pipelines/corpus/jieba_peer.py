"""jieba itself, beside which the compiled words of Chinese are held."""

from functools import cache
from typing import Any


@cache
def _tokenizer() -> Any:
    """Over the dictionary of its package; its cache file in the common temporary folder is not read."""
    import jieba

    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


def jieba_words(text: str) -> list[str]:
    """Its words without white space."""
    return [word for word in _tokenizer().cut(text) if word.strip()]
