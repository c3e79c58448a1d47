"""Which columns a signal configuration gives: what rules may name, known before anything runs."""

from collections.abc import Callable
from typing import Any, Final

from pipelines.corpus.filters import keywords, metadata, statistics, surface
from pipelines.corpus.filters.config import SignalConfig
from pipelines.corpus.filters.language import LANGUAGE_DESCRIPTIONS

DESCRIPTIONS: Final[dict[str, Callable[[Any], dict[str, str]]]] = {
    "statistics": statistics.column_descriptions,
    "language": lambda config: LANGUAGE_DESCRIPTIONS,
    "surface": surface.column_descriptions,
    "keywords": keywords.column_descriptions,
    "metadata": metadata.column_descriptions,
}
"""Family -> the function that describes its columns."""


def signal_columns(signals: SignalConfig) -> dict[str, str]:
    """Every signal of the configured families of this module, with a sentence that names its unit."""
    found: dict[str, str] = {}
    for name, describe in DESCRIPTIONS.items():
        config = getattr(signals, name)
        if config is not None:
            found |= describe(config)
    return found
