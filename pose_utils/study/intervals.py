"""Bootstrap over images: weights shared by all figures of a study, intervals, paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure and its resamples; arithmetic on two of one study is paired, image by image.

    Attributes:
        value: The figure on all images.
        samples: float64 (resamples,), the same figure on each resample.
    """

    value: float
    samples: np.ndarray

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.samples - other.samples)

    def __truediv__(self, other: Estimate) -> Estimate:
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = np.where(other.samples != 0, self.samples / other.samples, np.nan)
        return Estimate(self.value / other.value if other.value else np.nan, samples)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Returns the percentile interval (Efron and Tibshirani 1993); NaN where nothing can be said.

        Resamples in which the figure is undefined (no person drawn) are left out.
        """
        usable = self.samples[np.isfinite(self.samples)]
        if not np.isfinite(self.value) or len(usable) < 2:
            return np.nan, np.nan
        low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def resampling_weights(images: int, resamples: int, seed: int) -> np.ndarray:
    """Returns float64 (1 + resamples, images): all ones, then how often each draw holds each image.

    The same rows serve every condition, so that differences between conditions are paired.
    """
    rng = np.random.default_rng([seed, images])
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    return np.concatenate([np.ones((1, images)), drawn.astype(float)])


def estimate(values: np.ndarray) -> Estimate:
    """Splits what `resampling_weights` led to into the figure and its resamples."""
    return Estimate(float(values[0]), np.asarray(values[1:], float))


def mean(parts: Sequence[Estimate]) -> Estimate:
    """Returns the mean of several estimates, resample by resample."""
    return Estimate(
        float(np.mean([part.value for part in parts])),
        np.mean([part.samples for part in parts], axis=0),
    )


def corruption_means(clean: Estimate, corrupted: Sequence[Estimate]) -> dict[str, Estimate]:
    """Returns mPC, the mean figure under corruption, and rPC = mPC / P (Michaelis et al. 2019)."""
    under = mean(corrupted)
    return {"mpc": under, "rpc": under / clean}
