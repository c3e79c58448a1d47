"""Seeds by name: every random choice derives its own stream from the run's seed and a path of names.

Nothing is drawn from a shared generator, so adding a consumer, a worker or a restart changes no other choice.
"""

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 64-bit seed for the stream called `names`, e.g. `derive(plan.seed, "mixture", "wiki", epoch)`."""
    digest = hashlib.blake2b(digest_size=8, person=b"seed")
    for item in (seed, *names):
        encoded = str(item).encode()
        digest.update(len(encoded).to_bytes(4, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A PCG64 generator on the derived seed; numpy keeps this stream stable between releases."""
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))
