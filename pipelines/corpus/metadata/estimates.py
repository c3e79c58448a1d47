"""What the operations learn from a batch: centres, spreads, quartiles, a line between points, a least-squares plane.

Sums are exactly rounded (`math.fsum`), so that the figures are the same on every machine. Input arrays have no gaps.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]
MAD_SCALE: Final = 0.6745
"""The 0.75 quantile of the normal distribution: 0.6745 / MAD estimates 1 / standard deviation."""
MEAN_AD_SCALE: Final = 1.253314
"""sqrt(pi / 2): the same for the mean absolute deviation, which stands in for a MAD of 0 (Iglewicz and Hoaglin)."""


class RefusedEstimateError(ValueError):
    """The batch does not say what was asked of it: why, and what to do."""


def mean(values: Column) -> float:
    if not len(values):
        raise RefusedEstimateError("no value is known")
    return math.fsum(values) / len(values)


def median(values: Column) -> float:
    return quantile(values, 0.5)


def quantile(values: Column, share: float) -> float:
    """By linear interpolation between order statistics, the default of numpy and pandas."""
    if not len(values):
        raise RefusedEstimateError("no value is known")
    return float(np.quantile(values, share))


def largest_zscore(count: int, ddof: int) -> float:
    """The largest |z| that one of `count` values can have: (n-1)/sqrt(n) with ddof 1, sqrt(n-1) with ddof 0."""
    return (count - 1) / math.sqrt(count) if ddof else math.sqrt(count - 1)


def zscore(values: Column, threshold: float, ddof: int) -> tuple[float, float]:
    """(mean, standard deviation). Refused when no value of so small a sample could exceed the threshold."""
    count = len(values)
    most = largest_zscore(count, ddof) if count else 0.0
    if most <= threshold:
        raise RefusedEstimateError(
            f"{count} values are too few: the largest |z| that one of {count} can have is {most:.3f}, never above "
            f"{threshold:g}; use method mad, a lower threshold, or a larger batch"
        )
    centre = mean(values)
    spread = math.sqrt(math.fsum((values - centre) ** 2) / (count - ddof))
    return centre, spread


def iqr(values: Column) -> tuple[float, float]:
    """(first quartile, third quartile). Refused when they are equal: every other value would be infinitely far out."""
    low, high = quantile(values, 0.25), quantile(values, 0.75)
    if low == high:
        raise RefusedEstimateError(f"half of the values or more are {low:g}: the IQR is 0; use method zscore")
    return low, high


def mad(values: Column) -> tuple[float, float]:
    """(median, unit): (x - median) / unit is the modified z-score."""
    centre = median(values)
    deviations = np.abs(values - centre)
    spread = median(deviations)
    unit = spread / MAD_SCALE if spread else MEAN_AD_SCALE * mean(deviations)
    return centre, unit


def points(x: Column, y: Column) -> tuple[list[float], list[float]]:
    """The nodes of a linear interpolation: x ascending and once each, with the mean of its y."""
    if not len(x):
        raise RefusedEstimateError("no row has both values")
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    starts = np.flatnonzero(np.concatenate(([True], x[1:] != x[:-1])))
    groups = np.split(y, starts[1:])
    return x[starts].tolist(), [math.fsum(group) / len(group) for group in groups]


def least_squares(predictors: list[Column], target: Column) -> list[float]:
    """Intercept and slopes by the normal equations of the centred, scaled predictors.

    Refused when there are fewer rows than twice the coefficients, or the predictors depend on one another.
    """
    count, width = len(target), len(predictors)
    if count < 2 * (width + 1):
        raise RefusedEstimateError(f"{count} complete rows are too few for {width + 1} coefficients: fill by median")
    centres = [mean(column) for column in predictors]
    scales = [math.sqrt(math.fsum((column - centre) ** 2)) for column, centre in zip(predictors, centres, strict=True)]
    if not all(scales):
        raise RefusedEstimateError("a predictor is constant: leave it out")
    scaled = [(column - c) / s for column, c, s in zip(predictors, centres, scales, strict=True)]
    middle = mean(target)
    matrix = [[*(math.fsum(one * two) for two in scaled), math.fsum(one * (target - middle))] for one in scaled]
    slopes = [slope / scale for slope, scale in zip(_solve(matrix), scales, strict=True)]
    intercept = middle - math.fsum(slope * centre for slope, centre in zip(slopes, centres, strict=True))
    return [intercept, *slopes]


def _solve(matrix: list[list[float]]) -> list[float]:
    """Gauss-Jordan with partial pivoting of correlations (diagonal 1) with the right side as last column."""
    size = len(matrix)
    for step in range(size):
        pivot = max(range(step, size), key=lambda row: abs(matrix[row][step]))
        if abs(matrix[pivot][step]) < 1e-9:
            raise RefusedEstimateError("the predictors depend on one another: leave one out")
        matrix[step], matrix[pivot] = matrix[pivot], matrix[step]
        matrix[step] = [value / matrix[step][step] for value in matrix[step]]
        for row in range(size):
            if row != step:
                factor = matrix[row][step]
                matrix[row] = [a - factor * b for a, b in zip(matrix[row], matrix[step], strict=True)]
    return [row[-1] for row in matrix]
