"""Import an existing `tokenizer.json`.

In: its bytes (plain, .zst or .gz, recognized by their first bytes), those of tokenizer_config.json if there are any,
and the configuration. 1. Decompress, bounded. 2. Find the end of text: declared, else the one added token with a
well-known name, else the `eos_token`. It is asked for when several are possible: chat models declare the end of a
*turn* as `eos_token`, and a corpus with the wrong separator trains a model that never stops. 3. Prove that text
reaches no control token (`text_only.py`). Out: `TokenizerBundle`; tokenizer.json keeps its bytes, of
tokenizer_config.json only plain values are kept (never `auto_map`, which names code to run).
"""

import gzip
import io
import json
from typing import Any, Final

import zstandard

from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.tokenizer.bundle import TokenizerBundle, TokenizerError, canonical_json, token_text
from pipelines.tokens.tokenizer.config import ImportedTokenizer
from pipelines.tokens.tokenizer.text_only import parse, text_only

IMPORT = Algorithm("imported_tokenizer", 1)

MAX_BYTES: Final = 256 << 20
"""Ten times the largest published tokenizer.json (262,144 tokens, 33 MB would be eight)."""

END_OF_TEXT_NAMES: Final = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_document|>",
    "<｜end▁of▁sentence｜>",
    "<eos>",
    "</s>",
)
"""What published base models put between documents."""

_KEPT: Final = ("bos_token", "eos_token", "pad_token", "unk_token", "chat_template", "model_max_length")


def import_tokenizer(data: bytes, config: ImportedTokenizer, tokenizer_config: bytes | None = None) -> TokenizerBundle:
    """Validate and adopt a tokenizer. Raises TokenizerError with the file and the remedy in its text."""
    try:
        plain = _decompressed(data)
        settings = _settings(tokenizer_config)
        end_of_text = config.end_of_text or _find_end_of_text(parse(plain), settings)
        facts = text_only(plain, end_of_text, config.text_tokens).facts
    except TokenizerError as error:
        raise TokenizerError(f"{config.location}: {error}") from error
    kept: dict[str, Any] = {name: settings[name] for name in _KEPT if settings.get(name) is not None}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        if name in kept:
            kept[name] = token_text(kept[name])
    kept.setdefault("eos_token", end_of_text)
    kept |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    return TokenizerBundle(plain, canonical_json(kept), facts)


def _decompressed(data: bytes) -> bytes:
    try:
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read(MAX_BYTES + 1)
        elif data.startswith(b"\x1f\x8b"):
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_BYTES + 1)
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise TokenizerError(f"compressed tokenizer.json cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise TokenizerError(f"tokenizer.json is larger than {MAX_BYTES} bytes")
    return data


def _settings(tokenizer_config: bytes | None) -> dict[str, Any]:
    if tokenizer_config is None:
        return {}
    try:
        settings = json.loads(tokenizer_config)
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"tokenizer_config.json is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise TokenizerError("tokenizer_config.json is not an object")
    return settings


def _find_end_of_text(document: dict[str, Any], settings: dict[str, Any]) -> str:
    special = [token["content"] for token in document["added_tokens"] if token.get("special")]
    known = [name for name in END_OF_TEXT_NAMES if name in special]
    if len(known) == 1:
        return known[0]
    declared = token_text(settings.get("eos_token"))
    if not known and declared in special:
        return str(declared)
    raise TokenizerError(
        f"which token ends a document? {'several are possible' if known else 'none is evident'}: declare end_of_text, "
        f"one of {(known or special)[:12]}"
    )
