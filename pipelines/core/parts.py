"""What a stage function gives back for one part."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa


class PartResult(NamedTuple):
    """Tables by role, and counts that obey `rows_in = kept + sum of dropped/<reason>` where rows are judged.

    `arrays` are flat arrays by role, stored as raw little-endian files that can be memory-mapped.
    """

    tables: dict[str, pa.Table]
    counts: dict[str, int]
    arrays: Mapping[str, np.ndarray[Any, Any]] = {}
