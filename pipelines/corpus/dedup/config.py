"""What counts as a duplicate: the settings of normalization, shingles, MinHash bands, verification and policy."""

from typing import Literal

from pydantic import Field

from pipelines.core.config import Config, operational

Policy = Literal["first", "longest"]


class DedupConfig(Config):
    """Near-duplicate removal; every field but the operational ones is part of the identity of signatures and index."""

    threshold: float = Field(
        default=0.8,
        gt=0.0,
        le=1.0,
        description="Two documents are duplicates when the Jaccard similarity of their shingle sets is at least this.",
    )
    ngram: int = Field(default=5, ge=1, le=64, description="Words in a shingle.")
    ngram_unspaced: int = Field(
        default=8,
        ge=1,
        le=64,
        description=(
            "Characters in a shingle of a script that writes no spaces (Chinese, Japanese, Thai ...); "
            "8 Chinese characters are about 5 words."
        ),
    )
    digits: Literal["keep", "zero"] = Field(
        default="keep",
        description=(
            "Whether digits are compared as they are, or all as 0 so that pages that differ only in numbers are equal."
        ),
    )
    fold_diacritics: bool = Field(
        default=True, description="Whether accents on Latin, Greek and Cyrillic letters are ignored."
    )
    bands: int = Field(default=14, ge=1, le=254, description="LSH bands; two documents that share one are compared.")
    rows: int = Field(
        default=8,
        ge=1,
        le=256,
        description="MinHash values in a band: similarity s is found with probability 1-(1-s^rows)^bands.",
    )
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the MinHash permutations.")
    policy: Policy = Field(
        default="first",
        description="Which document of a batch leads its group: the first in order, or the one with the most words.",
    )
    max_candidates: int = Field(
        default=256,
        ge=1,
        description=(
            "A document is compared with at most so many of its earliest candidates, which bounds the work on "
            "families of pages that share a template and yet are no duplicates."
        ),
    )
    window_shingles: int = operational(
        4_000_000, "Shingles held in memory at once on either side while candidates are verified (8 bytes each).", ge=1
    )
    lookup_documents: int = operational(
        131_072, "Documents looked up in the index at once; each look-up reads the whole index once.", ge=1
    )

    @property
    def permutations(self) -> int:
        """MinHash values of a signature."""
        return self.bands * self.rows
