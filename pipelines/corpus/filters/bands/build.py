"""Bands from clean texts: the signals of a reference, and its quantiles as the ends of what is usual.

In: texts of the reference and of the pool. 1. The families that have the wanted signals are computed by the project's
own settings, as for any document, and the language is identified. 2. For each language with enough documents, the two
declared quantiles of each signal are its band (linear between order statistics; a missing value has no part in them).
3. Pool and reference are held against the bands. Out: the bands, and JSON-ready measures for the page.

It is the way in which FineWeb-2 found its thresholds for a thousand languages (Penedo et al. 2025): the tail of a clean
corpus of the language, Wikipedia, is what a rule may cut. Cost: the families', once a text.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.core.documents import document_id, text_hash
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters import language, statistics, surface
from pipelines.corpus.filters.bands.config import BandConfig, BandsConfig
from pipelines.corpus.filters.config import LanguageConfig, SignalConfig, StatisticsConfig, SurfaceConfig
from pipelines.corpus.filters.filter import join_signals
from pipelines.corpus.filters.labelled.examples import ExamplesError

QUANTILE_BANDS: Final = Algorithm("quantile_bands", 1)
BINS: Final = 40
_LOGARITHMIC: Final = 20
"""A signal whose 99.9th percentile is this many times its median is drawn on a logarithmic axis."""

Band = tuple[float | None, float | None]
Bands = dict[str, dict[str, Band]]
"""Language -> signal -> (lower end, upper end)."""
F64 = npt.NDArray[np.float64]


class BuiltBands(NamedTuple):
    """The bands, and what the page tells."""

    bands: Bands
    measures: dict[str, Any]


def signal_names(signals: SignalConfig) -> dict[str, str]:
    """Signal -> its family, of every number that a band may be on."""
    counted, marks = signals.statistics or StatisticsConfig(), signals.surface or SurfaceConfig()
    found = dict.fromkeys(statistics.column_descriptions(counted), "statistics")
    found |= dict.fromkeys(surface.column_descriptions(marks), "surface")
    return found | dict.fromkeys(("language_score", "language_probability", "paragraph_main_share"), "language")


def text_signals(texts: Sequence[str], names: Sequence[str], signals: SignalConfig) -> pa.Table:
    """One row a text: `language` and the named signals, by the settings of the project."""
    families = {signal_names(signals)[name] for name in names}
    documents = pa.table(
        {
            "id": pa.array([document_id("reference.texts", str(row)) for row in range(len(texts))], pa.binary(16)),
            "text_hash": pa.array([text_hash(text) for text in texts], pa.binary(16)),
            "text": pa.chunked_array([pa.array(list(texts), pa.large_string())]),
        }
    )
    tables = {"documents": documents}
    tables |= language.language_part(tables, signals.language or LanguageConfig()).tables
    if "statistics" in families:
        tables |= statistics.statistics_part(tables, signals.statistics or StatisticsConfig()).tables
    if "surface" in families:
        tables |= surface.surface_part(tables, signals.surface or SurfaceConfig()).tables
    return join_signals(tables).select(["language", *names])


def build_bands(reference: pa.Table, pool: pa.Table, config: BandsConfig) -> BuiltBands:
    """Bands of `reference`, rows of `text_signals`. Raises ExamplesError when a language has too few documents."""
    found = Counter(reference["language"].to_pylist())
    wanted = config.languages or tuple(sorted(code for code in found if code and found[code] >= config.min_documents))
    for code in wanted:
        if found[code] < config.min_documents:
            raise ExamplesError(
                f"the reference has {found[code]} documents in {code!r}, min_documents is {config.min_documents}: add "
                "texts, or leave the language out"
            )
    if not wanted:
        told = ", ".join(f"{code}: {number}" for code, number in found.most_common(5)) or "no text"
        raise ExamplesError(
            f"no language of the reference has {config.min_documents} documents ({told}): add texts, or lower "
            "min_documents"
        )
    bands: Bands = {}
    languages = {}
    for code in wanted:
        clean, mixed = _rows(reference, code), _rows(pool, code)
        bands[code] = {name: _band(_numbers(clean, name), item, code, name) for name, item in config.signals.items()}
        languages[code] = {
            "documents": len(clean),
            "pool_documents": len(mixed),
            "any_outside": _any_outside(clean, bands[code]),
            "pool_any_outside": _any_outside(mixed, bands[code]),
            "signals": {
                name: {"quantiles": [item.lower, item.upper], "band": list(bands[code][name])}
                | _drawn(_numbers(clean, name), _numbers(mixed, name), bands[code][name])
                for name, item in config.signals.items()
            },
        }
    left = {code or "none": number for code, number in sorted(found.items(), key=str) if code not in bands}
    return BuiltBands(bands, {"languages": languages, "without_band": left})


def beyond(values: F64, band: Band) -> F64:
    """How far a value is outside: above the upper end positive, below the lower end negative, 0 inside, ends included;
    NaN for a missing value."""
    lower, upper = band
    result = np.where(np.isnan(values), np.nan, 0.0)
    if upper is not None:
        result = np.where(values > upper, values - upper, result)
    if lower is not None:
        result = np.where(values < lower, values - lower, result)
    return result


def _rows(table: pa.Table, code: str) -> pa.Table:
    return table.filter(pa.array([item == code for item in table["language"].to_pylist()], pa.bool_()))


def _numbers(table: pa.Table, name: str) -> F64:
    """A column as float64, NaN where it is null."""
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def _band(values: F64, item: BandConfig, code: str, name: str) -> Band:
    known = values[~np.isnan(values)]
    if not len(known):
        raise ExamplesError(f"no reference text in {code!r} has the signal {name!r}: leave it out")
    lower, upper = (None if level is None else float(np.quantile(known, level)) for level in (item.lower, item.upper))
    return lower, upper


def _any_outside(table: pa.Table, bands: Mapping[str, Band]) -> float | None:
    """The share of rows that some band leaves outside; a missing value is outside."""
    if not len(table):
        return None
    outside = np.zeros(len(table), bool)
    for name, band in bands.items():
        outside |= beyond(_numbers(table, name), band) != 0  # NaN too
    return float(outside.mean())


def _drawn(clean: F64, mixed: F64, band: Band) -> dict[str, Any]:
    """Bars of both, inside and outside the band, over common edges; what is beyond them is in the end bins."""
    known = clean[~np.isnan(clean)]
    low, median, high = (float(np.quantile(known, level)) for level in (0.001, 0.5, 0.999))
    for end in band:
        low, high = (low, high) if end is None else (min(low, end), max(high, end))
    logarithmic = low > 0 and high > _LOGARITHMIC * median
    span = np.linspace(np.log(low), np.log(high), BINS + 1) if logarithmic else np.linspace(low, high, BINS + 1)
    edges = np.exp(span) if logarithmic else span
    if not low < high:
        edges = np.array([low - 0.5, low + 0.5])
    return {
        "edges": edges.tolist(),
        "logarithmic": logarithmic,
        "reference": _bars(clean, edges, band),
        "pool": _bars(mixed, edges, band),
    }


def _bars(values: F64, edges: F64, band: Band) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    place = np.clip(np.searchsorted(edges, known, side="right") - 1, 0, len(edges) - 2)
    outside = beyond(known, band) != 0
    return {
        "inside": np.bincount(place[~outside], minlength=len(edges) - 1).tolist(),
        "outside": np.bincount(place[outside], minlength=len(edges) - 1).tolist(),
        "missing": int(len(values) - len(known)),
        "outside_share": float((outside.sum() + len(values) - len(known)) / len(values)) if len(values) else None,
    }
