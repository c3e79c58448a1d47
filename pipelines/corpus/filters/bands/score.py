"""The attribute family `bands`: how far each document is outside the bands of its language.

In: documents and the signals that were computed for the same rows, and the pinned bands. For every section `<name>`:
`<name>_outside`, how many of its signals are outside their band, and for each signal `<name>_<signal>_beyond`, the
distance from the band in the signal's unit: positive above, negative below, 0 inside, the ends included. Both are null
for a language without bands; a signal that is missing counts as outside, its distance is null. `<name>_violations` is a
JSON object: signal -> [value, lower end, upper end] of what is outside, or null. Looks at no text.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.core.config import Config
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.bands.build import Bands, beyond
from pipelines.corpus.filters.filter import join_signals

BAND_DISTANCES: Final = Algorithm("band_distances", 1)
ALGORITHMS: Final = (BAND_DISTANCES,)


class PinnedBands(Config):
    """Bands as scoring needs them; assets fill them in from their artifact."""

    bands: Bands = Field(description="Language -> signal -> ends of its band.")


class BandScoring(Config):
    """The bands of all sections of a project, by name."""

    models: dict[str, PinnedBands] = Field(description="Bands by the name of their section.")


def band_columns(name: str, signals: Mapping[str, Any]) -> dict[str, pa.DataType]:
    """The columns of one section over `signals`, in order, with their types."""
    distances = {f"{name}_{signal}_beyond": pa.float64() for signal in signals}
    return {f"{name}_outside": pa.int64(), **distances, f"{name}_violations": pa.large_string()}


def bands_part(tables: Mapping[str, pa.Table], config: BandScoring) -> PartResult:
    """`tables["documents"]` and the tables of other families to `tables["bands"]`."""
    signals = join_signals(tables)
    languages = np.array(signals["language"].to_pylist(), object)
    columns: dict[str, Any] = {field.name: signals.column(field.name) for field in ATTRIBUTE_KEYS}
    for name, model in config.models.items():
        columns |= _columns(name, signals, languages, model.bands)
    table = pa.table(columns)
    return PartResult({"bands": table}, {"rows_in": len(table), "kept": len(table)})


def _columns(name: str, signals: pa.Table, languages: Any, bands: Bands) -> dict[str, pa.Array]:
    wanted = next(iter(bands.values()))
    known = np.array([code in bands for code in languages], bool)
    outside = np.zeros(len(signals), np.int64)
    found: list[dict[str, list[float | None]]] = [{} for _ in range(len(signals))]
    distances = {}
    for signal in wanted:
        values = np.asarray(signals[signal].cast(pa.float64()).to_numpy(), np.float64)
        distance = np.full(len(signals), np.nan)
        for code, ends in bands.items():
            mine = languages == code
            distance[mine] = beyond(values[mine], ends[signal])
        for row in np.flatnonzero(known & (distance != 0)):
            value = None if np.isnan(values[row]) else round(float(values[row]), 6)
            found[row][signal] = [value, *bands[languages[row]][signal]]
            outside[row] += 1
        distances[f"{name}_{signal}_beyond"] = pa.array(distance, mask=np.isnan(distance))
    shown = [json.dumps(item) if item else None for item in found]
    columns = {
        f"{name}_outside": pa.array(outside, mask=~known),
        **distances,
        f"{name}_violations": pa.array(shown, pa.large_string()),
    }
    return {column: columns[column] for column in band_columns(name, wanted)}
