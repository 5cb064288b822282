"""The doors under random fire: whatever comes in, the answer is a value or a PoseUtilsError.

About a minute together; POSE_FUZZ_SECONDS=600 gives each door ten minutes. The draws of a longer run differ.
"""

import json
import os
import time
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pose_utils.errors import PoseUtilsError, UsageError
from pose_utils.runtime.media import open_source, read_image
from pose_utils.study.annotations import load_coco_keypoints
from pose_utils.study.records import RunFolder
from pose_utils.study.schemas import SCHEMAS
from pose_utils.zoo import manifest
from tests.study.scenes import coco_of

SECONDS = float(os.environ.get("POSE_FUZZ_SECONDS", 6))
VALUES = [None, True, False, 0, -1, 1.5, 10**400, 2**63, -(2**70), float("nan"), float("inf"), "", "x",
          "\ud800", "../../etc/passwd", "/dev/zero", "a\0b", "n" * 5000, [], [[]], {}, [None],
          {"id": 1}]  # fmt: skip


def rounds(seed):
    """Random generators until the time is up, each of a new seed that the failure names."""
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        yield np.random.default_rng([seed, count])
        count += 1
    assert count > 20, "a fuzzer that does nothing finds nothing"


def damaged(content, rng):
    """Bytes flipped, cut, doubled, moved or replaced by their extremes."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        if not content:
            break
        place, length = int(rng.integers(len(content))), int(rng.integers(1, 64))
        kind = rng.integers(6)
        if kind == 0:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            content[place : place + length] = rng.bytes(length)
        elif kind == 2:
            del content[place : place + length]
        elif kind == 3:
            content[place:place] = content[place : place + length] * int(rng.integers(1, 5))
        elif kind == 4:
            content[place : place + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"][
                rng.integers(3)
            ]
        else:
            del content[place:]
    return bytes(content)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Small good files of every kind that the door knows."""
    folder = tmp_path_factory.mktemp("seeds")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    for name in ("a.jpg", "a.png", "a.bmp", "a.webp", "a.tif", "a.gif"):
        picture.save(folder / name)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.convert("P").save(folder / "palette.png")
    exif = Image.Exif()
    exif[0x112] = 6
    picture.save(folder / "turned.jpg", exif=exif, progressive=True)
    cv2.imwrite(str(folder / "deep.png"), np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
    Image.fromarray(np.linspace(0, 1, 64, dtype="float32").reshape(8, 8)).save(folder / "float.tif")
    for name, codec in (("a.avi", "MJPG"), ("a.mp4", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*codec), 25, (32, 24))
        for index in range(6):
            writer.write(np.full((24, 32, 3), 40 * index, np.uint8))
        writer.release()
    return sorted(folder.iterdir())


@pytest.mark.filterwarnings("ignore")
def test_pictures(seeds, tmp_path):
    for rng in rounds(1):
        seed = seeds[rng.integers(len(seeds))]
        path = tmp_path / f"x{seeds[rng.integers(len(seeds))].suffix}"
        path.write_bytes(damaged(seed.read_bytes(), rng))
        try:
            image = read_image(path)
        except PoseUtilsError as error:
            assert path.name in str(error)
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size


def test_videos(seeds, tmp_path):
    clips = [path for path in seeds if path.suffix in (".avi", ".mp4")]
    for rng in rounds(2):
        seed = clips[rng.integers(len(clips))]
        path = tmp_path / seed.name
        path.write_bytes(damaged(seed.read_bytes(), rng))
        try:
            source = open_source(path)
            frames = sum(1 for _, frame in zip(range(50), source, strict=False) if frame.image.shape[2] == 3)
        except PoseUtilsError:
            continue
        assert frames or source.skipped


def mutated(tree, rng):
    """Replaces, deletes or doubles a few places anywhere in a tree of JSON."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.integers(1, 4)):
        node, place = tree, None
        for _ in range(rng.integers(1, 7)):
            keys = (
                list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
            )
            if not len(keys):
                break
            parent, place = node, list(keys)[rng.integers(len(keys))]
            node = node[place]
        if place is None:
            return VALUES[rng.integers(len(VALUES))]
        kind = rng.integers(3)
        if kind == 0 and isinstance(parent, list):
            parent.append(node)
        elif kind == 1:
            del parent[place]
        else:
            parent[place] = VALUES[rng.integers(len(VALUES))]
    return tree


def test_annotations(tmp_path):
    person = {"keypoints": np.column_stack([np.arange(17) * 5.0, np.arange(17) * 7.0, np.full(17, 2)])}
    good = coco_of([[person, person], [person]])
    for name in ("0001.png", "0002.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    path = tmp_path / "truth.json"
    for rng in rounds(3):
        text = json.dumps(mutated(good, rng))
        path.write_bytes(damaged(text.encode(), rng) if rng.random() < 0.2 else text.encode())
        try:
            truth = load_coco_keypoints(path, tmp_path if rng.random() < 0.5 else None)
        except PoseUtilsError as error:
            assert "truth.json" in str(error)
            continue
        truth.by_name()
        json.dumps(truth.dataset)
        for image in truth.images:
            assert image.path is None or tmp_path in Path(image.path).parents
            assert np.isfinite(image.persons.boxes).all() and (image.persons.areas > 0).all()


def test_records(tmp_path):
    run = RunFolder.create({}, tmp_path / "run")
    for table, schema in SCHEMAS.items():
        row = {name: "ok" if dtype == "str" else 1 for name, dtype in schema.items()}
        run.write(table, [row | {"reason": ""} if "reason" in row else row] * 3)
    good = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    for rng in rounds(4):
        name = sorted(good)[rng.integers(len(good))]
        (run.path / name).write_bytes(damaged(good[name], rng))
        try:
            again = RunFolder(run.path)
            frame = again.read(name) if name != "run.json" else None
        except PoseUtilsError as error:
            assert name in str(error)
        else:
            assert frame is None or frame.empty or set(frame["schema_version"]) == {1}
        (run.path / name).write_bytes(good[name])


def test_the_manifest_and_downloaded_files(tmp_path):
    path = tmp_path / "file"
    for rng in rounds(5):
        name = sorted(manifest.manifest())[rng.integers(len(manifest.manifest()))]
        start = [b"PK\x03\x04", b"\x80\x02", b"\x08\x07", b"<html>", b""][rng.integers(5)]
        path.write_bytes(start + rng.bytes(int(rng.integers(0, 200))))
        try:
            said = manifest.check_file(manifest.get_asset(name), path, own_file=bool(rng.integers(2)))
        except PoseUtilsError as error:
            assert "file" in str(error)
        else:
            assert said.startswith("not verified"), "random bytes have no known digest"
        with pytest.raises(UsageError):
            manifest.get_asset(name[:-1] + "\udcff")


def test_a_damaged_manifest_is_never_half_read():
    good = manifest.MANIFEST_FILE.read_bytes()
    for rng in rounds(6):
        try:
            entries = tomllib.loads(damaged(good, rng).decode("utf-8"))
            assets = {name: manifest._asset(name, dict(entry)) for name, entry in entries.items()}
        except (ValueError, TypeError, AttributeError):
            continue  # ships with the program: a damaged one ends at import, with the place
        assert all(asset.name for asset in assets.values())
