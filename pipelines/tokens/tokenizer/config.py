"""Configuration of tokenizers: one trained by us, or one imported under its `tokenizer.json`."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipelines.core.config import Config

CONTROL_TOKEN = re.compile(r"<\|[a-z0-9_]{1,40}\|>")
"""Control tokens of trained tokenizers mix brackets and letters, which every pre-tokenizer here keeps in separate
words: no sequence of merges can spell one."""

BYTE_ALPHABET = 256


class TrainedTokenizer(Config):
    """A byte-level BPE trained on a deterministic sample of documents."""

    kind: Literal["trained"] = Field(default="trained", description="Train a new tokenizer on the named batches.")
    vocab_size: int = Field(
        default=32768,
        ge=BYTE_ALPHABET + 1,
        le=1 << 20,
        description="Largest vocabulary, control tokens included; a small sample can end below it.",
    )
    min_frequency: int = Field(default=2, ge=1, description="A pair seen less often than this is never merged.")
    split: Literal["gpt2", "cl100k"] = Field(
        default="cl100k",
        description="Pre-tokenizer pattern: GPT-2's, or the later one that keeps newlines and punctuation together.",
    )
    digits: Literal["single", "triples", "runs"] = Field(
        default="single",
        description="Numbers are cut into single digits (LLaMA), groups of at most three (Llama 3) or not at all.",
    )
    max_token_bytes: int = Field(
        default=64,
        ge=2,
        le=1024,
        description="No token is longer than this; rules of dashes stop filling the vocabulary.",
    )
    end_of_text: str = Field(default="<|endoftext|>", description="The token that we write after every document.")
    special_tokens: tuple[str, ...] = Field(
        default=("<|padding|>", "<|im_start|>", "<|im_end|>"),
        description="Further control tokens, for padding and for chat templates of later stages.",
    )
    reserved_tokens: int = Field(
        default=12,
        ge=0,
        le=256,
        description="Spare control tokens, so that a later stage need not resize the embeddings.",
    )
    sample_characters: int = Field(
        default=20_000_000, ge=1, description="Characters of text that each domain gives to the training sample."
    )
    domain_characters: dict[str, int] = Field(
        default_factory=dict,
        description="Budgets that differ from sample_characters, by domain; 0 leaves a domain out.",
    )
    document_characters: int = Field(
        default=100_000,
        ge=1,
        description="At most this many characters of one document, so that no book fills a budget.",
    )
    seed: int = Field(default=0, ge=0, description="Chooses which documents are sampled.")

    @field_validator("domain_characters")
    @classmethod
    def _budgets(cls, budgets: dict[str, int]) -> dict[str, int]:
        negative = sorted(domain for domain, budget in budgets.items() if budget < 0)
        if negative:
            raise ValueError(f"budgets of {negative} are negative; 0 leaves a domain out")
        return budgets

    @model_validator(mode="after")
    def _control(self) -> "TrainedTokenizer":
        tokens = self.control_tokens()
        for token in tokens:
            if not CONTROL_TOKEN.fullmatch(token):
                raise ValueError(f"control token {token!r} does not look like <|name|>: {CONTROL_TOKEN.pattern}")
        if len(set(tokens)) < len(tokens):
            raise ValueError(f"a control token is named twice among {list(tokens)}")
        if self.vocab_size < BYTE_ALPHABET + len(tokens):
            raise ValueError(
                f"vocab_size {self.vocab_size} has no room for {BYTE_ALPHABET} bytes and {len(tokens)} control tokens"
            )
        return self

    def control_tokens(self) -> tuple[str, ...]:
        """All control tokens in the order of their ids, end of text first (id 0)."""
        return (self.end_of_text, *self.special_tokens, *(f"<|reserved_{i}|>" for i in range(self.reserved_tokens)))


class ImportedTokenizer(Config):
    """A tokenizer that exists as a Hugging Face `tokenizer.json`."""

    kind: Literal["imported"] = Field(default="imported", description="Import an existing tokenizer.json.")
    location: str = Field(
        description="Path or URL of tokenizer.json (also .zst, .gz); a tokenizer_config.json beside it is read too."
    )
    end_of_text: str | None = Field(
        default=None,
        description="The token between documents (not a chat's end of turn); needed when none or several are evident.",
    )
    text_tokens: tuple[str, ...] = Field(
        default=(),
        description="Added tokens that document text may produce, beside the runs of whitespace that always may.",
    )


TokenizerConfig = Annotated[TrainedTokenizer | ImportedTokenizer, Field(discriminator="kind")]
