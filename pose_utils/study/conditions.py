"""Named conditions: the nine published ones, and families with a severity of 1 to 5.

`apply` is a pure function of the picture, its name, the condition, the severity and one seed: any
single picture of a study can be made again without the others, in any order and on any thread.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose_utils.errors import UsageError
from pose_utils.study import corruptions
from pose_utils.types import check_image

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Condition:
    """One named corruption.

    Attributes:
        name: As in the records and on the command line.
        title: For figures.
        corrupt: (image, strength, rng) -> image, and `boxes` too where `needs_boxes`.
        strengths: One for a published condition (severity 0), five for a family (1..5).
        unit: What the strength counts.
        needs_boxes: Whether persons' boxes must be given.
    """

    name: str
    title: str
    corrupt: Callable[..., np.ndarray] | None
    strengths: tuple[float, ...]
    unit: str
    needs_boxes: bool = False

    @property
    def published(self) -> bool:
        """Says whether this is one of the nine conditions of the published study."""
        return len(self.strengths) == 1

    @property
    def severities(self) -> tuple[int, ...]:
        """Returns (0,) for a published condition, 1..5 for a family."""
        return (0,) if self.published else SEVERITIES

    def strength(self, severity: int) -> float:
        """Returns the physical strength at `severity`, in `unit`."""
        return self.strengths[0 if self.published else severity - 1]


_LONG_SIDE = "px at a longer side of 640"
_PUBLISHED = (
    Condition("clean", "Clean", None, (0.0,), ""),
    Condition("motion_blur_light", "Motion blur 15 px", corruptions.motion_blur, (15,), _LONG_SIDE),
    Condition("motion_blur_heavy", "Motion blur 30 px", corruptions.motion_blur, (30,), _LONG_SIDE),
    Condition("low_light_moderate", "Low light, gamma 2", corruptions.low_light, (2.0,), "gamma"),
    Condition("low_light_severe", "Low light, gamma 4", corruptions.low_light, (4.0,), "gamma"),
    Condition("overexposure", "Overexposure x 2.5", corruptions.overexpose, (2.5,), "gain"),
    Condition("noise_moderate", "Noise, sigma 50", corruptions.gaussian_noise, (50,), "grey levels"),
    Condition("noise_heavy", "Noise, sigma 100", corruptions.gaussian_noise, (100,), "grey levels"),
    Condition("occlusion", "Occlusion, 30 patches", corruptions.patches, (30,), "patches of 10 %"),
)
# Noise, defocus and JPEG: the strengths of imagecorruptions. The rest spans from barely seen to
# the point where a person looking at the picture starts to guess.
_FAMILIES = (
    Condition("motion_blur", "Motion blur", corruptions.motion_blur, (8, 15, 22, 30, 45), _LONG_SIDE),
    Condition("rotation_blur", "Camera roll", corruptions.rotation_blur, (1, 2, 4, 6, 9), "degrees"),
    Condition("defocus", "Defocus", corruptions.defocus, (3, 4, 6, 8, 10), "radius, " + _LONG_SIDE),
    Condition("low_light", "Low light", corruptions.low_light, (1.5, 2, 3, 4, 6), "gamma"),
    Condition("exposure", "Overexposure", corruptions.overexpose, (1.5, 2, 2.5, 3.5, 5), "gain"),
    Condition("noise", "Noise", corruptions.gaussian_noise, (20, 31, 46, 66, 97), "grey levels"),
    Condition("patch_occlusion", "Patches", corruptions.patches, (8, 15, 22, 30, 45), "patches of 10 %"),
    Condition("person_occlusion", "Person covered", corruptions.person_patches, (0.1, 0.2, 0.3, 0.45, 0.6),
              "share of the box", needs_boxes=True),
    Condition("jpeg", "JPEG", corruptions.jpeg, (25, 18, 15, 10, 7), "quality"),
    Condition("low_resolution", "Low resolution", corruptions.low_resolution,
              (0.5, 0.35, 0.25, 0.18, 0.125), "share of each side"),
    Condition("rain", "Rain", corruptions.rain, (2, 4, 6, 9, 12), "drops per 1,000 px"),
    Condition("fog", "Fog", corruptions.fog, (0.3, 0.45, 0.6, 0.7, 0.8), "density"),
    Condition("colour_cast", "Colour cast", corruptions.colour_cast, (0.15, 0.3, 0.45, 0.6, 0.8), "log gain"),
)  # fmt: skip

CONDITIONS: Mapping[str, Condition] = {entry.name: entry for entry in _PUBLISHED + _FAMILIES}
PUBLISHED = tuple(entry.name for entry in _PUBLISHED)
FAMILIES = tuple(entry.name for entry in _FAMILIES)


def find(name: str) -> Condition:
    """Returns a condition by name.

    Raises:
        UsageError: There is none of that name; the message names the nearest.
    """
    if name in CONDITIONS:
        return CONDITIONS[name]
    near = difflib.get_close_matches(name, CONDITIONS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(CONDITIONS)}"
    raise UsageError(f"there is no condition {name!r}; {hint}")


def expand(specs: Iterable[str]) -> list[tuple[str, int]]:
    """Turns what a user writes into (condition, severity) pairs, each once, in the order given.

    `noise_heavy` is a published condition, `defocus` a family at all five severities, `defocus:3` one of
    them, `published` the nine, `families` every family, `all` both.

    Raises:
        UsageError: Unknown name, a severity that is not 1..5, or one on a published condition.
    """
    groups = {"published": PUBLISHED, "families": FAMILIES, "all": PUBLISHED + FAMILIES}
    pairs: dict[tuple[str, int], None] = {}
    for spec in specs:
        for entry in groups.get(spec, (spec,)):
            name, _, level = entry.partition(":")
            condition = find(name)
            if not level:
                pairs.update(dict.fromkeys((name, severity) for severity in condition.severities))
            elif condition.published or level not in {str(severity) for severity in SEVERITIES}:
                raise UsageError(f"{spec!r}: write a family and a severity from 1 to 5, such as defocus:3")
            else:
                pairs[name, int(level)] = None
    return list(pairs)


def seed_for(seed: int, image_name: str, condition: str, severity: int) -> int:
    """Returns the 64-bit seed of one picture under one condition, the same on every machine."""
    text = "\x1f".join((str(seed), image_name, condition, str(severity)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def apply(
    condition: str,
    image: np.ndarray,
    *,
    image_name: str,
    seed: int,
    severity: int | None = None,
    boxes: np.ndarray | Sequence | None = None,
) -> np.ndarray:
    """Returns the picture under a condition: uint8 of the same shape; `image` is left alone.

    Args:
        condition: A name of `CONDITIONS`.
        image: uint8 (h, w, 3) BGR.
        image_name: Identifies the picture in the seed (file name without its folder).
        seed: The study's seed.
        severity: 1..5 for a family; None (or 0) for a published condition.
        boxes: (n, 4) xyxy of the persons, where the condition is placed on persons.

    Raises:
        UsageError: Unknown condition, a severity it does not have, or boxes missing.
        ValueError: `image` is no uint8 (h, w, 3) array.
    """
    chosen = find(condition)
    level = severity or 0
    if level not in chosen.severities:
        raise UsageError(f"{condition} has severity {' '.join(map(str, chosen.severities))}, not {severity}")
    if chosen.needs_boxes and boxes is None:
        raise UsageError(f"{condition} covers persons: give their boxes")
    check_image(image)
    if chosen.corrupt is None:
        return image.copy()
    rng = np.random.default_rng(seed_for(seed, image_name, condition, level))
    extra = {"boxes": boxes} if chosen.needs_boxes else {}
    return chosen.corrupt(image, chosen.strength(level), rng, **extra)
