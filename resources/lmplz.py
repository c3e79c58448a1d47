"""Where KenLM's `lmplz` is on this machine: a tool that nobody has to have."""

import os
import shutil
from pathlib import Path
from typing import Final

LMPLZ: Final = "GRISTMILL_LMPLZ"
"""Environment variable that names the program."""


def find_lmplz(declared: str | None, folder: Path) -> Path | None:
    """The program: as declared, else as the environment says, else on PATH; None where that is no program.

    What names a path with a folder in it is looked for from `folder`, the project file's; a bare name beside the
    project file first, then on PATH.
    """
    wanted = declared or os.environ.get(LMPLZ) or "lmplz"
    found = shutil.which(folder / Path(wanted).expanduser()) if declared or os.sep in wanted else None
    found = found or (shutil.which(wanted) if os.sep not in wanted else None)
    return Path(found).resolve() if found else None
