"""Arrays of a mixture's streams (row tables, selections) as they are read back from flat files.

A mapped file holds a descriptor, and a mixture that is split has many small streams with up to six files each, while
1,024 descriptors are commonly allowed. So small files are read, large ones mapped: at most SMALL bytes of memory each.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SMALL: Final = 1 << 16


def stored_arrays(paths: Mapping[str, Path]) -> dict[str, dict[str, NDArray[Any]]]:
    """Stream -> name of the array -> its values, of paths by `<stream>/<name>`; a stream's name may hold a `/`."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for role, path in paths.items():
        stream, _, name = role.rpartition("/")
        kind = np.dtype("<i4" if name == "lengths" else "<i8")
        small = path.stat().st_size <= SMALL
        found.setdefault(stream, {})[name] = np.fromfile(path, kind) if small else np.memmap(path, kind, "r")
    return found
