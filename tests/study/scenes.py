"""Hand-made truth for the study's tests."""

import json
import tempfile
from pathlib import Path

import numpy as np

from pose_utils.study.annotations import load_coco_keypoints


def coco_of(layout):
    """COCO dictionary of images 1, 2, ... from persons as {"keypoints": (17, 3), "crowd", "box", "area"}."""
    images, annotations = [], []
    for image_id, persons in enumerate(layout, start=1):
        images.append({"id": image_id, "file_name": f"{image_id:04d}.png", "width": 640, "height": 640})
        for person in persons:
            points = np.asarray(person["keypoints"], float)
            box = [float(side) for side in person.get("box", [*points[:, :2].min(0), *points[:, :2].max(0)])]
            wide, tall = box[2] - box[0], box[3] - box[1]
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": 1,
                "iscrowd": int(person.get("crowd", False)), "bbox": [box[0], box[1], wide, tall],
                "area": float(person.get("area", 0.5 * wide * tall)), "keypoints": points.ravel().tolist(),
            })  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def truth_of(layout):
    """GroundTruth of `coco_of(layout)`, through the reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "truth.json"
        path.write_text(json.dumps(coco_of(layout)))
        return load_coco_keypoints(path)
