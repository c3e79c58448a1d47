"""A tokenizer as files: `tokenizer.json`, `tokenizer_config.json` and `tokenizer_facts.json`.

The first two load with `PreTrainedTokenizerFast.from_pretrained(folder)`. The facts are what our own stages need and
the other two do not say reliably: which token ends a document (in chat models `eos_token` is the end of a turn), how
many embedding rows the ids need, and which ids text must never produce.
"""

import json
from typing import Any, NamedTuple

import numpy as np

from pipelines.core.errors import GristmillError

UINT16_VOCABULARY = 1 << 16


class TokenizerError(GristmillError, ValueError):
    """A tokenizer file or configuration that cannot be used."""


class TokenizerFacts(NamedTuple):
    """`vocab_size` is the largest id + 1; `control_ids` are the ids that no text may produce, ascending."""

    end_of_text: str
    end_of_text_id: int
    vocab_size: int
    control_ids: tuple[int, ...]
    text_tokens: tuple[str, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Little-endian uint16 when every id fits, else uint32."""
        return np.dtype("<u2" if self.vocab_size <= UINT16_VOCABULARY else "<u4")


class TokenizerBundle(NamedTuple):
    """The bytes of the two Hugging Face files, and the facts."""

    tokenizer_json: bytes
    tokenizer_config: bytes
    facts: TokenizerFacts

    def files(self) -> dict[str, bytes]:
        """File name -> bytes, as they lie in the artifact."""
        return {
            "tokenizer.json": self.tokenizer_json,
            "tokenizer_config.json": self.tokenizer_config,
            "tokenizer_facts.json": canonical_json(self.facts._asdict()),
        }

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> "TokenizerBundle":
        """Read back what `files()` wrote."""
        try:
            facts = json.loads(files["tokenizer_facts.json"])
            return cls(
                files["tokenizer.json"],
                files["tokenizer_config.json"],
                TokenizerFacts(
                    str(facts["end_of_text"]),
                    int(facts["end_of_text_id"]),
                    int(facts["vocab_size"]),
                    tuple(int(item) for item in facts["control_ids"]),
                    tuple(str(item) for item in facts["text_tokens"]),
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TokenizerError(f"not a tokenizer artifact: {error!r}; it holds {sorted(files)}") from error


def canonical_json(value: Any) -> bytes:
    """Sorted, indented UTF-8 JSON with a final newline: equal values give equal bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def token_text(value: Any) -> str | None:
    """The text of a token in tokenizer_config.json, where it is a string or an object with `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) and value else None
