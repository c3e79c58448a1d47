"""The tokenizer that document text sees: the same merges and ids, without any way to reach a control token.

`tokenizer.json` lets text become control ids in five ways, and all are closed here by rewriting a copy of it (the
flag `encode_special_tokens` closes only the first, and is not saved in the file):

1. special added tokens are matched in the raw text: their entries are removed;
2. so are added tokens with `special: false`, such as `<think>` or `|||IP_ADDRESS|||`: removed as well, except runs of
   whitespace and the ones declared as text (NeoX vocabularies encode indentation with added tokens);
3. a merge, or `ignore_merges`, can spell a control token that also lies in the model's vocabulary: the entry and
   every merge that touches it are removed;
4. an unknown character becomes the unknown token: refused unless the vocabulary has every byte of UTF-8;
5. the post-processor wraps text in control tokens: removed.

Removed too are truncation, padding and dropout, which a saved file can carry and which would cut or randomize
documents in silence. What goes out is JSON for `Tokenizer.from_str`, and the facts. Cost: one parse of the file.
"""

import json
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.tokenizer.bundle import TokenizerError, TokenizerFacts

TEXT_ONLY = Algorithm("text_only_tokenizer", 1)

_NEVER_IN_UTF8 = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})
"""Bytes that no UTF-8 text holds; vocabularies such as GPT-NeoX's leave their tokens out."""


class TextOnly(NamedTuple):
    """JSON of the rewritten tokenizer, the facts, and whether its words end where a letter meets a space."""

    tokenizer_json: str
    facts: TokenizerFacts
    byte_level: bool


def text_only(tokenizer_json: bytes, end_of_text: str, text_tokens: tuple[str, ...] = ()) -> TextOnly:
    """Rewrite `tokenizer.json` so that text can produce none of its control tokens.

    `end_of_text` must be a token of it; `text_tokens` are added tokens (never special ones) that text may produce.
    Raises TokenizerError for files that are not BPE tokenizers or that can lose characters.
    """
    document = parse(tokenizer_json)
    model, added = document["model"], document["added_tokens"]
    vocabulary: dict[str, int] = model["vocab"]
    ids = _load(tokenizer_json.decode("utf-8-sig", "replace")).get_vocab(with_added_tokens=True)
    if end_of_text not in ids:
        raise TokenizerError(f"end_of_text {end_of_text!r} is no token of tokenizer.json")
    texts = _text_tokens(added, text_tokens, end_of_text)
    control = {token["content"] for token in added if token["content"] not in texts} | {end_of_text}
    control_ids = {ids[token] for token in control}
    kept_vocabulary = {token: number for token, number in vocabulary.items() if number not in control_ids}
    # Ids of kept added tokens are looked up in the model first and otherwise counted upwards from its size, which
    # the removals changed: an entry in the vocabulary pins them.
    kept_vocabulary |= {token: ids[token] for token in sorted(texts)}
    byte_level = _is_byte_level(document)
    _require_all_bytes(kept_vocabulary, model, byte_level)
    model |= {
        "vocab": kept_vocabulary,
        "merges": [merge for merge in model["merges"] if _survives(merge, kept_vocabulary, model)],
        "unk_token": None,
        "dropout": None,
    }
    document |= {
        "added_tokens": [token for token in added if token["content"] in texts],
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }
    rewritten = json.dumps(document, ensure_ascii=False)
    moved = [
        token for token, number in _load(rewritten).get_vocab(with_added_tokens=True).items() if ids[token] != number
    ]
    if moved:
        raise TokenizerError(f"tokens change their ids when control tokens are hidden: {sorted(moved)[:4]}")
    facts = TokenizerFacts(
        end_of_text, ids[end_of_text], max(ids.values()) + 1, tuple(sorted(control_ids)), tuple(sorted(texts))
    )
    return TextOnly(rewritten, facts, byte_level)


def _load(tokenizer_json: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the binding raises bare Exception for every malformed file
        raise TokenizerError(f"tokenizers cannot load tokenizer.json: {error}") from error


def parse(tokenizer_json: bytes) -> dict[str, Any]:
    """The parsed file, its model a BPE, its added tokens a list; anything else is a TokenizerError."""
    try:
        document = json.loads(tokenizer_json)
        model = document["model"]
        kind = model.get("type", "BPE" if "merges" in model else None)
        if kind != "BPE":
            raise TokenizerError(
                f"tokenizer.json holds a {kind} model; only BPE keeps control tokens out of reach of text and loses "
                "no character: convert it, or train one"
            )
        document["added_tokens"] = document.get("added_tokens") or []
        for token in document["added_tokens"]:
            if not isinstance(token["content"], str) or not isinstance(token["id"], int) or not token["content"]:
                raise TokenizerError(f"added token {token!r} has no content or no id")
        if not isinstance(model["vocab"], dict) or not isinstance(model["merges"], list):
            raise TokenizerError("the model of tokenizer.json has no vocabulary or no merges")
        numbers = list(model["vocab"].values())
        if len(set(numbers)) < len(numbers) or any(not isinstance(n, int) or n < 0 for n in numbers):
            raise TokenizerError("the vocabulary of tokenizer.json gives one id to two tokens, or an id below 0")
    except TokenizerError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise TokenizerError(f"not a Hugging Face tokenizer.json: {error!r}") from error
    return dict(document)


def _text_tokens(added: list[dict[str, Any]], declared: tuple[str, ...], end_of_text: str) -> set[str]:
    """Added tokens that text may produce: runs of whitespace, and the declared ones that are not special."""
    plain = {token["content"] for token in added if not token.get("special") and token["content"] != end_of_text}
    refused = sorted(set(declared) - plain)
    if refused:
        raise TokenizerError(
            f"text_tokens {refused} are special, the end of text, or no added tokens of tokenizer.json"
        )
    return {token for token in plain if token.isspace()} | set(declared)


def _survives(merge: Any, vocabulary: dict[str, int], model: dict[str, Any]) -> bool:
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    prefix = model.get("continuing_subword_prefix") or ""
    return left in vocabulary and right in vocabulary and left + right.removeprefix(prefix) in vocabulary


def _pre_tokenizers(document: dict[str, Any]) -> list[dict[str, Any]]:
    outer = document.get("pre_tokenizer")
    if not outer:
        return []
    return list(outer["pretokenizers"]) if outer.get("type") == "Sequence" else [outer]


def _is_byte_level(document: dict[str, Any]) -> bool:
    return any(step.get("type") == "ByteLevel" for step in _pre_tokenizers(document))


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in byte-level vocabularies (GPT-2's table), by byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    # The 68 other bytes take the code points from 256 upwards, in order.
    others = iter(range(256, 256 + 68))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _require_all_bytes(vocabulary: dict[str, int], model: dict[str, Any], byte_level: bool) -> None:
    names = byte_alphabet() if byte_level else [f"<0x{byte:02X}>" for byte in range(256)]
    missing = [name for byte, name in enumerate(names) if byte not in _NEVER_IN_UTF8 and name not in vocabulary]
    if missing or not (byte_level or model.get("byte_fallback")):
        raise TokenizerError(
            f"tokenizer.json cannot encode every text: {len(missing)} byte tokens are missing "
            f"({', '.join(missing[:4])}) and characters would become the unknown token"
        )
