"""Forgetting over several rounds, from the matrix R[i, j]: the score on task j after stage i.

Higher is better; for bits per byte pass the negated values. Stage i is the one that trained on task i, as in the
continual-learning literature, so the matrix is square. All results are in the score's own unit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Transfer:
    """`average` of the last row; `backward` = mean over j < T of R[T, j] - R[j, j] (negative: forgetting);
    `forgetting` = mean over j < T of max over l < T of R[l, j] - R[T, j]; `per_task` are its terms."""

    average: float
    backward: float | None
    forgetting: float | None
    per_task: tuple[float, ...]


def transfer(scores: npt.ArrayLike) -> Transfer:
    """The metrics of a finite square matrix; those over earlier tasks are None for a single stage."""
    matrix = np.asarray(scores, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(f"a finite square matrix of scores is expected, stages by tasks, not shape {matrix.shape}")
    last = matrix[-1]
    if len(matrix) == 1:
        return Transfer(float(last.mean()), None, None, ())
    lost = matrix[:-1, :-1].max(axis=0) - last[:-1]
    backward = last[:-1] - np.diagonal(matrix)[:-1]
    return Transfer(float(last.mean()), float(backward.mean()), float(lost.mean()), tuple(float(x) for x in lost))
