"""Small language models for the tests: callables with known probabilities."""

import numpy as np


def byte_encode(texts):
    """Byte-level ids, shifted by one so that 0 stays free for end of text."""
    return [[byte + 1 for byte in text.encode()] for text in texts]


def bigram(seed: int, vocabulary: int = 257):
    """A model whose next-token distribution depends on the previous token alone: [V, V] log-probabilities."""
    logits = np.random.default_rng(seed).normal(0, 2, (vocabulary, vocabulary))
    table = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def log_probs(input_ids, targets, mask):
        assert input_ids.dtype == np.int64
        assert mask.dtype == np.bool_
        return table[input_ids, targets]

    return log_probs, table


def whole_context(seed: int):
    """A model whose log-probabilities depend on every token it sees, so that a wrong window changes the result."""
    weight = np.random.default_rng(seed).normal(0, 1, 512)

    def log_probs(input_ids, targets, mask):
        seen = np.cumsum(weight[input_ids % 512], axis=1) / np.arange(1, input_ids.shape[1] + 1)
        return -np.abs(seen * 3 + weight[targets % 512]) - 0.1

    return log_probs
