"""Algorithm versions of the chapter, in a module without torch: the graph names them when it is loaded.

Raise a version by hand when its module gives other bits: they are the identity of every trained checkpoint.
"""

from typing import Final

from pipelines.core.fingerprint import Algorithm

TRANSFORMER: Final = Algorithm("transformer", 1)
TRAINING_LOOP: Final = Algorithm("training_loop", 1)
SCHEDULES: Final = Algorithm("learning_rate_schedules", 1)
ADAMW: Final = Algorithm("adamw", 1)
TRAINING_ALGORITHMS: Final = (TRANSFORMER, TRAINING_LOOP, SCHEDULES, ADAMW)
