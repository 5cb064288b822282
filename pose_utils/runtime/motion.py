"""Where a tracked person will be: a Kalman filter of constant velocity over a box.

State and noise follow Zhang et al., ByteTrack, ECCV 2022: centre x, centre y, width / height, height, and
the velocity of each; noise grows with the height of the person.
"""

from __future__ import annotations

import numpy as np

POSITION_NOISE, VELOCITY_NOISE = 1 / 20, 1 / 160
"""Standard deviations, in heights of the person and in heights a frame."""
SHAPE_NOISE = 0.1
"""Standard deviation of width / height as measured."""


class BoxMotion:
    """The motion of one box, in frames."""

    def __init__(self, box: np.ndarray) -> None:
        """Starts at rest at a box, xyxy in pixels."""
        self._state = np.concatenate([_measured(box), np.zeros(4)])
        height = self._state[3]
        spread = [2 * POSITION_NOISE * height, 2 * POSITION_NOISE * height, 1e-2, 2 * POSITION_NOISE * height]
        drift = [
            10 * VELOCITY_NOISE * height,
            10 * VELOCITY_NOISE * height,
            1e-5,
            10 * VELOCITY_NOISE * height,
        ]
        self._covariance = np.diag(np.square([*spread, *drift]))

    @property
    def box(self) -> np.ndarray:
        """float64 (4,): where the box is thought to be, xyxy in pixels."""
        x, y, shape, height = self._state[:4]
        width = max(shape * height, 1.0)
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])

    def predict(self) -> None:
        """Goes on by one frame."""
        height = self._state[3]
        place = [POSITION_NOISE * height, POSITION_NOISE * height, 1e-2, POSITION_NOISE * height]
        drift = [VELOCITY_NOISE * height, VELOCITY_NOISE * height, 1e-5, VELOCITY_NOISE * height]
        self._state = _STEP @ self._state
        self._state[3] = max(self._state[3], 1.0)
        self._covariance = _STEP @ self._covariance @ _STEP.T + np.diag(np.square([*place, *drift]))

    def correct(self, box: np.ndarray) -> None:
        """Takes what was measured in this frame, xyxy in pixels."""
        height = self._state[3]
        noise = np.square(
            [POSITION_NOISE * height, POSITION_NOISE * height, SHAPE_NOISE, POSITION_NOISE * height]
        )
        innovation = self._covariance[:4, :4] + np.diag(noise)
        gain = np.linalg.solve(innovation, self._covariance[:4]).T
        self._state = self._state + gain @ (_measured(box) - self._state[:4])
        self._state[3] = max(self._state[3], 1.0)
        self._covariance = self._covariance - gain @ self._covariance[:4]

    def calm(self) -> None:
        """Halves the velocity: whoever is out of sight is not followed out of the picture."""
        self._state[4:] *= 0.5


_STEP = np.eye(8) + np.eye(8, k=4)


def _measured(box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = np.asarray(box, dtype=float)
    width, height = max(right - left, 1.0), max(bottom - top, 1.0)
    return np.array([(left + right) / 2, (top + bottom) / 2, width / height, height])
