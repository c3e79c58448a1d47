"""Named places where a test can kill the process, to prove that nothing half-written is ever found.

`GRISTMILL_FAILPOINT=<name>:<n>[:<marker file>]` sends SIGKILL to the process at the n-th time it passes `name`. The
variable is inherited by workers and trainers; with a marker file only the first process that gets there dies, and its
id is in the file.
"""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Final

NAMES: Final = (
    "part_write",
    "manifest",
    "reference",
    "index_commit",
    "train_step",
    "checkpoint_write",
    "proposal_binding",
)
"""Every name that is passed to `failpoint` anywhere; a test compares them with the calls."""
_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die here if the environment asks for it; otherwise free (one dictionary look-up)."""
    wanted = os.environ.get("GRISTMILL_FAILPOINT")
    if not wanted:
        return
    target, _, rest = wanted.partition(":")
    if target != name:
        return
    count, _, marker = rest.partition(":")
    _passed[name] += 1
    if _passed[name] < int(count or 1):
        return
    if marker:
        try:
            with Path(marker).open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
