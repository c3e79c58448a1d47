"""Ensembles of quality classifiers, and how far their members agree.

Scores of two classifiers cannot be compared; their ranks among reference scores (the held-out negatives, each
classifier's sample of the pool) can. `max_bucket`: the highest quantile bucket that any member gives, 0 to buckets - 1
(Nemotron-CC: 20 buckets); `mean_rank`: the mean rank, 0 to 1; `majority`: the share of members whose score reaches
their threshold. A member that has no score for a document (another language) has no say; without any, the result is
missing.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.classifier.config import EnsembleConfig

ENSEMBLE: Final = Algorithm("classifier_ensemble", 1)

F64 = npt.NDArray[np.float64]


class Member(NamedTuple):
    """What an ensemble needs of a classifier on some documents: scores, ranks and its threshold. NaN is no score."""

    scores: F64
    ranks: F64
    threshold: float


class Agreement(NamedTuple):
    """Two raters that say yes or no about the same documents."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa, (observed - expected) / (1 - expected); None when both always say the same one thing."""
        total = sum(self)
        if not total:
            return None
        observed = (self.both + self.neither) / total
        yes = (self.both + self.first) * (self.both + self.second) / total**2
        expected = yes + (self.second + self.neither) * (self.first + self.neither) / total**2
        return None if expected == 1 else (observed - expected) / (1 - expected)


def ranks_of(scores: F64, reference: Sequence[float]) -> F64:
    """The share of the reference distribution below each score, ties half; `reference` are its quantiles, ascending."""
    points = np.asarray(reference, np.float64)
    low, high = np.searchsorted(points, scores, "left"), np.searchsorted(points, scores, "right")
    ranks = (low + high) / (2 * len(points))
    return np.where(np.isnan(scores), np.nan, ranks)


def combine(members: Mapping[str, Member], config: EnsembleConfig) -> F64:
    """The ensemble's value for each document, NaN where no member has a score."""
    chosen = [members[name] for name in config.members]
    ranks = np.stack([member.ranks for member in chosen])
    silent = np.isnan(ranks)
    voters = np.maximum((~silent).sum(0), 1)
    if config.method == "max_bucket":
        buckets = np.minimum(np.floor(np.where(silent, 0, ranks) * config.buckets), config.buckets - 1)
        value = np.where(silent, -1, buckets).max(0)
    elif config.method == "mean_rank":
        value = np.where(silent, 0, ranks).sum(0) / voters
    else:
        votes = np.stack([member.scores >= member.threshold for member in chosen]) & ~silent
        value = votes.sum(0) / voters
    return np.where(silent.all(0), np.nan, value)


def keeps(values: F64, config: EnsembleConfig) -> npt.NDArray[np.bool_]:
    """Which documents reports count as kept by an ensemble."""
    if config.threshold is not None:
        return np.asarray(values >= config.threshold)
    if config.method == "majority":
        return np.asarray(values > 0.5)
    return np.asarray(values >= (config.buckets / 2 if config.method == "max_bucket" else 0.5))


def agreement(first: Member, second: Member) -> Agreement:
    """How two classifiers decide on the documents that both score."""
    known = ~(np.isnan(first.scores) | np.isnan(second.scores))
    one, two = first.scores[known] >= first.threshold, second.scores[known] >= second.threshold
    return Agreement(int((one & two).sum()), int((one & ~two).sum()), int((~one & two).sum()), int((~one & ~two).sum()))
