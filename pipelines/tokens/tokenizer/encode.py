"""Texts to token ids, with exactly one end-of-text after each document, written by us.

In: texts. 1. The tokenizer is rewritten so that text reaches no control token (`text_only.py`). 2. Texts go through
`encode_batch_fast` in bounded groups, long ones cut at places that change no token. 3. Every id is compared with the
control ids: one found is an error, not a drop, because step 1 excludes it. 4. End-of-text follows each document.
Out: one flat little-endian array and the lengths, end-of-text included. Cost: 2 to 3 MB of text a second on one core,
nearly all of it the pre-tokenizer's regular expression; a word cache in Python in front of it gave 5 MB/s, but needs a
second regular-expression engine to agree with the first on every character, so it was left out.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.tokenizer.bundle import TokenizerBundle, TokenizerError, TokenizerFacts
from pipelines.tokens.tokenizer.patterns import can_cut, pieces
from pipelines.tokens.tokenizer.text_only import parse, text_only

ENCODE = Algorithm("encode_documents", 1)

GROUP_CHARACTERS = 1 << 20
"""Characters encoded at once; also the size of the pieces of a long document (about 100 MB of encodings)."""

Tokens = NDArray[Any]


class Encoder:
    """Encodes documents for one tokenizer. Picklable by its bytes; threads do not change the result."""

    def __init__(self, tokenizer_json: bytes, end_of_text: str, text_tokens: tuple[str, ...] = ()) -> None:
        """`end_of_text` is the token to write after documents; `text_tokens` as in `ImportedTokenizer`."""
        self._arguments = (tokenizer_json, end_of_text, text_tokens)
        rewritten = text_only(tokenizer_json, end_of_text, text_tokens)
        self.facts: TokenizerFacts = rewritten.facts
        self.byte_level = rewritten.byte_level
        self._cuttable = can_cut(parse(rewritten.tokenizer_json.encode()))
        self._tokenizer = Tokenizer.from_str(rewritten.tokenizer_json)
        self._decoder = Tokenizer.from_buffer(tokenizer_json)
        self._control = np.zeros(self.facts.vocab_size, dtype=bool)
        self._control[list(self.facts.control_ids)] = True

    @classmethod
    def of(cls, bundle: TokenizerBundle) -> "Encoder":
        """The encoder of a tokenizer artifact."""
        return cls(bundle.tokenizer_json, bundle.facts.end_of_text, bundle.facts.text_tokens)

    def __reduce__(self) -> tuple[type["Encoder"], tuple[bytes, str, tuple[str, ...]]]:
        return type(self), self._arguments

    @property
    def dtype(self) -> np.dtype[Any]:
        """The arrays' type: <u2 or <u4."""
        return self.facts.dtype

    def encode_documents(self, texts: Sequence[str]) -> tuple[Tokens, NDArray[np.int32]]:
        """Flat ids [sum of lengths] and lengths [len(texts)], each including the one end-of-text."""
        flat: list[Tokens] = []
        lengths = np.empty(len(texts), dtype=np.int64)
        end = np.array([self.facts.end_of_text_id], dtype=self.dtype)
        for row, ids in enumerate(self._encoded(texts)):
            flat += [ids, end]
            lengths[row] = len(ids) + 1
        if len(texts) and lengths.max() > np.iinfo(np.int32).max:
            raise TokenizerError(
                f"a document has {lengths.max()} tokens, more than an index row can hold; cut it earlier"
            )
        tokens = np.concatenate(flat) if flat else np.empty(0, dtype=self.dtype)
        return tokens, lengths.astype(np.int32)

    def encode(self, text: str) -> list[int]:
        """The ids of one text, without end-of-text: for prompts and evaluation, by the same rules as documents."""
        return [int(number) for number in next(self._encoded([text]))]

    def decode(self, ids: Sequence[int] | Tokens) -> str:
        """Ids to text; control tokens are shown as their names."""
        return str(self._decoder.decode([int(number) for number in ids], skip_special_tokens=False))

    def _encoded(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """The ids of each text in order, encoded in groups of about GROUP_CHARACTERS."""
        group: list[list[str]] = []
        held = 0
        for text in texts:
            cut = pieces(text, GROUP_CHARACTERS) if self._cuttable else [text]
            if len(cut) > 1:
                yield from self._flush(group)
                group, held = [], 0
                yield np.concatenate([ids for piece in cut for ids in self._flush([[piece]])])
                continue
            group.append(cut)
            held += len(text)
            if held >= GROUP_CHARACTERS:
                yield from self._flush(group)
                group, held = [], 0
        yield from self._flush(group)

    def _flush(self, group: list[list[str]]) -> Iterator[Tokens]:
        if not group:
            return
        encodings = self._tokenizer.encode_batch_fast([text for (text,) in group], add_special_tokens=False)
        ids = [np.array(encoding.ids, dtype=self.dtype) for encoding in encodings]
        together = np.concatenate(ids)
        if self._control[together].any():
            rows = np.searchsorted(
                list(accumulate(map(len, ids))), np.flatnonzero(self._control[together]), side="right"
            )
            raise TokenizerError(
                f"document text produced the control token {int(together[self._control[together]][0])}; text begins "
                f"{group[int(rows[0])][0][:60]!r}: this tokenizer cannot be used"
            )
        yield from ids
