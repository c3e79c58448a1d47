"""Signals that put every document into one of a few groups: what shares are counted of, and what mixtures are split by.

Each is a column of texts in an attribute family of `quality_signals`; a document without a value is of the group
`none`.
"""

from typing import Final

SHARED: Final = {
    "topics": ("topic", "topic_classifier"),
    "language": ("language", None),
    "perplexity": ("perplexity_bucket", "perplexity_model"),
}
"""Family -> the column whose values have shares, and the column that names the model that gave them."""
NONE: Final = "none"


def family_of(signal: str) -> str:
    """The family whose column a signal is; KeyError for one that has no groups."""
    return {column: family for family, (column, _) in SHARED.items()}[signal]
