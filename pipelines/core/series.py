"""Series smoothed: the moving average and the Gaussian filter, for the curves of reports.

A value that is missing (NaN) has no weight; near both ends and near gaps the weights of what is there are scaled to
one, so that a constant series stays what it is.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]
TRUNCATE: Final = 4.0
"""Standard deviations after which the Gaussian is cut, scipy's default: 6e-5 of its mass is beyond."""


def moving_average(values: Series, window: int) -> Series:
    """The centred mean over `window` values (of an even number the next smaller one); NaN where all are missing.

    Linear time, whatever the window.
    """
    if window < 1:
        raise ValueError(f"a moving average needs a window of one value or more, not {window}")
    reach = (window - 1) // 2
    known, centred, centre = _centred(values)
    index = np.arange(len(values))
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    total, weight = (np.concatenate([[0.0], np.cumsum(part)]) for part in (centred, known))
    return _mean(total[high] - total[low], weight[high] - weight[low], centre)


def gaussian_filter(values: Series, sigma: float) -> Series:
    """The mean weighted by exp(-d²/2σ²) over the distance d in steps; NaN where all values in reach are missing.

    Time grows with the values times 8 σ.
    """
    if not sigma > 0:
        raise ValueError(f"a Gaussian filter needs a standard deviation above 0, not {sigma}")
    reach = int(TRUNCATE * sigma + 0.5)
    if not len(values):
        return np.zeros(0)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    known, centred, centre = _centred(values)
    total, weight = (np.convolve(part, weights)[reach : reach + len(values)] for part in (centred, known))
    return _mean(total, weight, centre)


def _centred(values: Series) -> tuple[Series, Series, float]:
    """(1 where known, values less their mean and 0 in gaps, the mean): sums of small numbers lose fewer digits."""
    known = np.isfinite(values)
    centre = float(values[known].mean()) if known.any() else 0.0
    return known.astype(np.float64), np.where(known, values - centre, 0.0), centre


def _mean(total: Series, weight: Series, centre: float) -> Series:
    return np.where(weight > 0, centre + total / np.where(weight > 0, weight, 1.0), np.nan)
