"""Agreement between annotators: Cohen's kappa, Fleiss' kappa, Krippendorff's alpha, and overlap of spans.

Ratings are integers (the label's place in the declared list), -1 where somebody gave none. A measure that is not
defined (nobody differs and nobody could) is None.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pipelines.core.fingerprint import Algorithm

AGREEMENT: Final = Algorithm("annotator_agreement", 1)

Ratings = npt.NDArray[np.int64]
Span = tuple[int, int, str]
"""(start, stop, label), in characters."""


def cohen_kappa(first: Ratings, second: Ratings) -> float | None:
    """(observed - expected) / (1 - expected) over the items that both rated (Cohen 1960)."""
    both = (first >= 0) & (second >= 0)
    one, two = first[both], second[both]
    if not len(one):
        return None
    size = int(max(one.max(), two.max())) + 1
    expected = float((np.bincount(one, minlength=size) / len(one)) @ (np.bincount(two, minlength=size) / len(two)))
    return None if expected == 1 else (float(np.mean(one == two)) - expected) / (1 - expected)


def fleiss_kappa(counts: Ratings) -> float | None:
    """`counts[item, label]`: how many raters gave it, as many for every item (Fleiss 1971).

    Raises ValueError when items have different numbers of ratings, or fewer than two.
    """
    raters = counts.sum(1)
    if not len(counts) or raters.min() != raters.max() or raters[0] < 2:
        raise ValueError("Fleiss' kappa wants at least two ratings for each item, and as many for all")
    number = int(raters[0])
    share = counts.sum(0) / counts.sum()
    observed = float(np.mean((np.sum(counts**2, 1) - number) / (number * (number - 1))))
    expected = float(share @ share)
    return None if expected == 1 else (observed - expected) / (1 - expected)


def krippendorff_alpha(ratings: Ratings, scale: str = "nominal", values: Sequence[float] = ()) -> float | None:
    """1 - observed / expected disagreement (Krippendorff 2011); `ratings[annotator, item]`, -1 for none.

    `scale` is nominal, ordinal (the order of the labels) or interval, for which `values` are the labels' numbers.
    """
    size = int(ratings.max(initial=-1)) + 1
    coincidence = np.zeros((size, size))
    for item in ratings.T:
        counts = np.bincount(item[item >= 0], minlength=size).astype(np.float64)
        if counts.sum() > 1:
            coincidence += (np.outer(counts, counts) - np.diag(counts)) / (counts.sum() - 1)
    marginal = coincidence.sum(0)
    total = float(marginal.sum())
    if total == 0:
        return None
    distance = _distances(marginal, scale, values)
    expected = float((np.outer(marginal, marginal) * distance).sum()) / (total - 1)
    return None if expected == 0 else 1 - float((coincidence * distance).sum()) / expected


def _distances(marginal: npt.NDArray[np.float64], scale: str, values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Squared distances of labels."""
    size = len(marginal)
    if scale == "nominal":
        return 1.0 - np.eye(size)
    if scale == "interval":
        numbers = np.asarray(values, np.float64)[:size]
        return (numbers[:, None] - numbers[None, :]) ** 2
    middle = np.cumsum(marginal) - marginal / 2
    return (middle[:, None] - middle[None, :]) ** 2


def span_f1(first: Sequence[Span], second: Sequence[Span]) -> tuple[float | None, float | None]:
    """(F1 of equal spans, F1 of characters with equal labels) of two people on one text; None where both have none."""
    exact = _f1(len(set(first) & set(second)), len(set(first)), len(set(second)))
    one, two = (
        {(place, label) for start, stop, label in spans for place in range(start, stop)} for spans in (first, second)
    )
    return exact, _f1(len(one & two), len(one), len(two))


def _f1(shared: int, first: int, second: int) -> float | None:
    return 2 * shared / (first + second) if first + second else None
