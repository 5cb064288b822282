"""COCO keypoint annotations, read with suspicion: what cannot be used is refused or counted, by name."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose_utils.errors import InputError
from pose_utils.runtime.media import printable_name
from pose_utils.types import NUM_KEYPOINTS


@dataclass(frozen=True, eq=False)
class TruthPersons:
    """The annotated persons of one image, crowd regions included.

    Attributes:
        ids: int64 (n,), annotation ids as in the file.
        boxes: float64 (n, 4), xyxy in image pixels.
        keypoints: float64 (n, 17, 3): x, y, and 0 unlabelled, 1 labelled but hidden, 2 visible.
        areas: float64 (n,), area of the person's outline in square pixels.
        crowd: bool (n,), whether the region holds several persons.
    """

    ids: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_keypoints(self) -> np.ndarray:
        """Labelled keypoints of each person, int64 (n,)."""
        return (self.keypoints[:, :, 2] > 0).sum(axis=1)

    @property
    def posed(self) -> np.ndarray:
        """Marks, bool (n,), who counts for keypoint metrics: no crowd, at least one keypoint."""
        return ~self.crowd & (self.num_keypoints > 0)


@dataclass(frozen=True, eq=False)
class TruthImage:
    """One annotated image; `path` is None where no image folder was given."""

    id: int | str
    file_name: str
    width: int
    height: int
    path: Path | None
    persons: TruthPersons


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """A checked COCO keypoint file.

    Attributes:
        images: In the order of the file.
        dataset: COCO dictionary of the same content for pycocotools: persons only, annotations numbered
            from 1 (COCOeval reads a match with id 0 as no match).
        skipped: reason -> how many images or annotations were left out.
    """

    images: tuple[TruthImage, ...]
    dataset: dict[str, Any]
    skipped: dict[str, int]

    @property
    def persons(self) -> int:
        """Number of persons with keypoints, crowd regions apart."""
        return int(sum(image.persons.posed.sum() for image in self.images))

    def by_name(self) -> dict[str, TruthImage]:
        """Returns file name without folders -> image."""
        return {printable_name(Path(image.file_name).name): image for image in self.images}

    def restricted(self, ids: Iterable[int | str]) -> GroundTruth:
        """Returns the same truth for only the images whose id is in `ids`."""
        wanted = set(ids)
        images = tuple(image for image in self.images if image.id in wanted)
        dataset = dict(self.dataset)
        dataset["images"] = [entry for entry in dataset["images"] if entry["id"] in wanted]
        dataset["annotations"] = [entry for entry in dataset["annotations"] if entry["image_id"] in wanted]
        return GroundTruth(images, dataset, self.skipped)


def load_coco_keypoints(annotations: Path, images_dir: Path | None = None) -> GroundTruth:
    """Reads a COCO keypoint file (cocodataset.org, data format).

    Counted and left out: images that `images_dir` does not hold, annotations of other categories, boxes
    without area, and boxes or keypoints that are NaN or infinite.

    Raises:
        InputError: No such file, not JSON, no COCO dictionary, a field missing or of the wrong type, an
            annotation of an image the file does not list, an id used twice, or nothing left to use.
    """
    source = Path(annotations)
    raw = _read_json(source)
    category = _person_category(raw, source)
    skipped: Counter[str] = Counter()
    kept: dict[int | str, tuple[dict, Path | None]] = {}
    listed: set[int | str] = set()
    for position, entry in enumerate(raw["images"]):
        where = f"{source}: images[{position}]"
        key = _field(entry, "id", (int, str), where)
        name = _field(entry, "file_name", (str,), where)
        for side in ("width", "height"):
            if _field(entry, side, (int,), where) <= 0:
                raise InputError(f"{where}: {side} must be above 0")
        if key in listed:
            raise InputError(f"{where}: image id {key} is used twice")
        listed.add(key)
        path = _find_image(images_dir, name)
        if images_dir is not None and path is None:
            skipped["image not found"] += 1
        else:
            kept[key] = (entry, path)
    if len({type(key) for key in kept}) > 1:
        raise InputError(f"{source}: image ids mix numbers and texts; use one kind")

    people: dict[int | str, list[dict]] = {key: [] for key in kept}
    used: set[int | str] = set()
    for position, entry in enumerate(raw["annotations"]):
        where = f"{source}: annotations[{position}]"
        person = _annotation(entry, where)
        if person["image_id"] not in listed:
            raise InputError(f"{where}: image_id {person['image_id']} is not among the images")
        if person["id"] in used:
            raise InputError(f"{where}: annotation id {person['id']} is used twice")
        used.add(person["id"])
        reason = _unusable(person, category)
        if reason:
            skipped[reason] += 1
        elif person["image_id"] not in kept:
            skipped["annotation of an image not found"] += 1
        else:
            people[person["image_id"]].append(person)
    if not kept:
        raise InputError(f"{source}: none of its {len(listed)} images is in {images_dir}")
    return _assemble(kept, people, category, dict(skipped))


def _read_json(source: Path) -> dict:
    try:
        raw = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not JSON: {error}") from error
    for name in ("images", "annotations", "categories"):
        if not isinstance(raw, dict) or not isinstance(raw.get(name), list):
            raise InputError(f"{source} is no COCO file: it has no list {name!r}")
    return raw


def _field(entry: Any, name: str, kinds: tuple[type, ...], where: str) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise InputError(f"{where} has no field {name!r}")
    value = entry[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"{where}: {name} must be {wanted}, got {value!r:.60}")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(f"{where}: {name} is out of range, got {value!r:.60}")
    return value


def _numbers(entry: dict, name: str, count: int, where: str) -> list[float]:
    values = _field(entry, name, (list,), where)
    numbers = all(type(value) is float or (type(value) is int and abs(value) < 2**63) for value in values)
    if len(values) != count or not numbers:
        raise InputError(f"{where}: {name} must be a list of {count} numbers, got {values!r:.60}")
    return [float(value) for value in values]


def _person_category(raw: dict, source: Path) -> int:
    categories = (entry for entry in raw["categories"] if isinstance(entry, dict))
    named = [entry for entry in categories if entry.get("name") == "person"]
    if not named:
        raise InputError(f"{source} has no category 'person'")
    return _field(named[0], "id", (int,), f"{source}: category person")


def _annotation(entry: Any, where: str) -> dict:
    person = {
        "id": _field(entry, "id", (int, str), where),
        "image_id": _field(entry, "image_id", (int, str), where),
        "category_id": _field(entry, "category_id", (int,), where),
        "area": float(_field(entry, "area", (int, float), where)),
        "iscrowd": int(_field({"iscrowd": 0} | entry, "iscrowd", (int, bool), where)),
        "bbox": _numbers(entry, "bbox", 4, where),
    }
    if "keypoints" not in entry and not person["iscrowd"]:
        raise InputError(f"{where} has no field 'keypoints': this is no keypoint file")
    flat = entry.get("keypoints") or [0] * (3 * NUM_KEYPOINTS)  # crowd regions may have none
    person["keypoints"] = _numbers({"keypoints": flat}, "keypoints", 3 * NUM_KEYPOINTS, where)
    if any(flag not in (0, 1, 2) for flag in person["keypoints"][2::3] if math.isfinite(flag)):
        raise InputError(f"{where}: the visibility of a keypoint is 0, 1 or 2")
    return person


def _unusable(person: dict, category: int) -> str:
    if person["category_id"] != category:
        return "annotation of another category"
    if not all(map(math.isfinite, [*person["bbox"], *person["keypoints"], person["area"]])):
        return "annotation with NaN or infinity"
    if min(person["bbox"][2:]) <= 0 or person["area"] <= 0:
        return "annotation without area"
    return ""


def _find_image(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return None
    # Only inside the folder: a name may say ../../elsewhere, or begin at the root.
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    candidates = ([Path(folder) / name] if inside else []) + [Path(folder) / Path(name).name]
    return next((path for path in candidates if os.path.isfile(path)), None)


def _assemble(kept: dict, people: dict, category: int, skipped: dict[str, int]) -> GroundTruth:
    images, entries = [], []
    for key, (entry, path) in kept.items():
        persons = people[key]
        boxes = np.array([person["bbox"] for person in persons], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        keypoints = np.array([person["keypoints"] for person in persons], float)
        truth = TruthPersons(
            ids=np.array([person["id"] for person in persons]),
            boxes=boxes,
            keypoints=keypoints.reshape(-1, NUM_KEYPOINTS, 3),
            areas=np.array([person["area"] for person in persons], float),
            crowd=np.array([person["iscrowd"] for person in persons], bool),
        )
        images.append(TruthImage(key, entry["file_name"], entry["width"], entry["height"], path, truth))
        entries += [
            person | {"id": len(entries) + number, "num_keypoints": int(count)}
            for number, (person, count) in enumerate(zip(persons, truth.num_keypoints, strict=True), start=1)
        ]
    dataset = {
        "info": {}, "licenses": [],
        "images": [
            {"id": image.id, "file_name": image.file_name, "width": image.width, "height": image.height}
            for image in images
        ],
        "annotations": entries,
        "categories": [{"id": category, "name": "person"}],
    }  # fmt: skip
    return GroundTruth(tuple(images), dataset, skipped)
