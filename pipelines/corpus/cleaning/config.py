"""Configuration of `clean_documents`: edits, drops, and the split into training and held-out documents."""

import re
from typing import Final

from pydantic import Field, field_validator

from pipelines.core.config import Config
from pipelines.corpus.privacy.config import SensitiveKind

_PLACEHOLDER: Final = re.compile(r"[<\[{|][A-Za-z][A-Za-z0-9_ -]{0,38}[>\]}|]")
_SPECIAL_NAMES: Final = re.compile(
    r"/?(?:s|bos|eos|unk|pad|mask|cls|sep|eot|eod|im_start|im_end|endoftext|inst|sys|user|assistant|system)"
)


class EditsConfig(Config):
    """What stands in the place of a span."""

    placeholders: dict[SensitiveKind, str] = Field(
        default={"email": "<EMAIL>", "phone_number": "<PHONE>", "ip_address": "<IP>"},
        description="Plain text that replaces a sensitive span of each kind: a name in brackets (<>, [], {} or ||).",
    )

    @field_validator("placeholders")
    @classmethod
    def _plain_text(cls, placeholders: dict[str, str]) -> dict[str, str]:
        for kind, text in placeholders.items():
            if not _PLACEHOLDER.fullmatch(text):
                raise ValueError(
                    f"placeholder of {kind} is {text!r}; write a name between brackets, such as <EMAIL>, so that no "
                    "pattern can read across it and a second cleaning changes nothing"
                )
            if _SPECIAL_NAMES.fullmatch(text[1:-1].strip().lower()):
                raise ValueError(f"placeholder of {kind} is {text!r}, usually a special token; choose another")
        return placeholders


class ContaminationRule(Config):
    """When a document counts as a copy of benchmark items."""

    max_item_share: float | None = Field(
        default=0.5,
        gt=0.0,
        le=1.0,
        description="Drop a document that holds at least this share of the n-grams of one item; null switches it off.",
    )
    max_matched: int | None = Field(
        default=100,
        ge=1,
        description="Drop a document in which at least this many n-grams of items match in all; null switches it off.",
    )


class CleaningConfig(Config):
    """From deduplicated to clean documents."""

    edits: EditsConfig = Field(default=EditsConfig(), description="Replacement of sensitive spans.")
    contamination: ContaminationRule = Field(
        default=ContaminationRule(), description="Thresholds over the attribute family `contamination`."
    )
    min_characters: int = Field(
        default=1, ge=1, description="A document with fewer characters than this, blanks aside, is dropped as emptied."
    )


class SplitConfig(Config):
    """Which documents are held out, and what is too similar to them to be trained on."""

    seed: int = Field(default=0, ge=0, description="Seed of the held-out choice; another seed chooses other documents.")
    max_documents: int = Field(default=200, ge=0, description="Held-out documents of a domain, at most.")
    max_characters: int = Field(
        default=1_000_000, ge=0, description="Characters of a domain's held-out documents, at most."
    )
    max_share: float = Field(
        default=0.1,
        ge=0.0,
        lt=1.0,
        description="Share of the first batch's documents, and of its characters, that may be held out at most.",
    )
    min_characters: int = Field(
        default=200, ge=0, description="A shorter document is never held out: its bits per byte say little."
    )
    threshold: float = Field(
        default=0.8,
        gt=0.0,
        le=1.0,
        description="A document with at least this Jaccard similarity to a held-out one is kept out of training.",
    )
    ngram: int = Field(default=5, ge=1, le=64, description="Words in a shingle.")
    ngram_unspaced: int = Field(
        default=8, ge=1, le=64, description="Characters in a shingle of a script that writes no spaces."
    )
