"""The door, case by case: what every odd or hostile picture comes to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pose_utils import paths
from pose_utils.errors import InputError
from pose_utils.runtime.inference import run_inference
from pose_utils.runtime.media import MAX_PIXELS, open_source, read_image
from tests.runtime.fakes import FakePipeline
from tests.runtime.hostile_files import linked, written

PHOTO = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8), (0, 0), 2)


def saved(name, picture=None, keep=1.0, **options):
    """Makes a case: a picture saved under `name`, of which the first share of bytes is kept."""

    def make(folder):
        path = folder / name
        (picture or Image.fromarray(PHOTO)).save(path, **options)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        return path

    return make


def piped(folder):
    os.mkfifo(folder / "pipe.jpg")
    return folder / "pipe.jpg"


def rotated(folder):
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(PHOTO).save(folder / "r.jpg", exif=exif)
    return folder / "r.jpg"


def sixteen_bit_colour(folder):
    cv2.imwrite(str(folder / "c16.png"), PHOTO.astype(np.uint16) * 257)
    return folder / "c16.png"


FRAMES = [Image.new("RGB", (9, 7), colour) for colour in ("red", "blue")]
WHOLE = (120, 160, 3)
PICTURES = {
    "jpeg cut in half": (saved("a.jpg", keep=0.5), "damaged"),
    "jpeg without its last percent": (saved("a.jpg", keep=0.99), "damaged"),
    "progressive jpeg cut": (saved("a.jpg", keep=0.7, progressive=True), "damaged"),
    "png cut": (saved("a.png", keep=0.9), "damaged"),
    "webp cut": (saved("a.webp", keep=0.9), "damaged|no picture"),
    "empty": (written("a.jpg", b""), "is empty"),
    "text named jpg": (written("a.jpg", b"holiday.jpg\n" * 9), "no picture"),
    "script named png": (written("a.png", b"#!/bin/sh\nexit 1\n"), "no picture"),
    # Pillow would start Ghostscript on it.
    "postscript named jpg": (
        written("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"),
        "no picture",
    ),
    "1x1": (saved("a.png", Image.new("RGB", (1, 1))), (1, 1, 3)),
    "1xN": (saved("a.jpg", Image.new("RGB", (1, 4000))), (4000, 1, 3)),
    "Nx1": (saved("a.png", Image.new("RGB", (4000, 1))), (1, 4000, 3)),
    "20,000 x 20,000": (saved("a.png", Image.new("1", (20_000, 20_000))), f"at most {MAX_PIXELS:,}"),
    "12,000 x 9,000": (saved("a.png", Image.new("1", (12_000, 9_000))), "12000x9000 pixels"),
    "16-bit grey": (saved("a.png", Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257)), WHOLE),
    "16-bit colour": (sixteen_bit_colour, WHOLE),
    "grey": (saved("a.jpg", Image.fromarray(PHOTO[..., 0])), WHOLE),
    "alpha": (saved("a.png", Image.fromarray(PHOTO).convert("RGBA")), WHOLE),
    "cmyk": (saved("a.jpg", Image.fromarray(PHOTO).convert("CMYK")), WHOLE),
    "palette": (saved("a.png", Image.fromarray(PHOTO).convert("P")), WHOLE),
    "animated gif": (saved("a.gif", FRAMES[0], save_all=True, append_images=FRAMES[1:]), (7, 9, 3)),
    "animated png": (saved("a.png", FRAMES[0], save_all=True, append_images=FRAMES[1:]), (7, 9, 3)),
    "animated webp": (saved("a.webp", FRAMES[0], save_all=True, append_images=FRAMES[1:]), (7, 9, 3)),
    "rotated by exif": (rotated, (160, 120, 3)),
    "jpeg named png": (saved("a.png", format="JPEG"), WHOLE),
    "folder named jpg": (lambda folder: (folder / "d.jpg").mkdir() or folder / "d.jpg", "cannot be read"),
    "dangling link": (linked("a.jpg", "nowhere.jpg"), "cannot be read: No such file"),
    "link to itself": (linked("a.jpg", "a.jpg"), "cannot be read: Too many levels"),
    "endless device": (linked("a.jpg", "/dev/zero"), "no regular file"),
    "pipe nobody writes to": (piped, "no regular file"),
    "name too long": (lambda folder: folder / ("x" * 4000 + ".jpg"), "cannot be read: File name too long"),
    "name with a zero byte": (lambda folder: Path(f"{folder}/a\0.jpg"), "cannot be read"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", PICTURES)
def test_a_picture_is_read_or_refused_in_one_sentence(tmp_path, case):
    make, outcome = PICTURES[case]
    path = make(tmp_path)
    if isinstance(outcome, tuple):
        image = read_image(path)
        assert image.shape == outcome and image.dtype == np.uint8 and image.flags["C_CONTIGUOUS"]
        return
    with pytest.raises(InputError, match=outcome) as refusal:
        read_image(path)
    assert "\n" not in str(refusal.value)


ODD_NAMES = [
    b"two  spaces.png", b"new\nline.png", b"\"double\" 'single'.png", b"<img src=x onerror=alert(1)>.png",
    b"tab\tand\x1b[31m.png", b"%s%n%03d.png", b"$(touch planted).png", b"-rf.png", b"bad\xff\xfebytes.png",
]  # fmt: skip


def test_a_folder_of_odd_names_is_worked_through_and_its_results_are_valid_text(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ODD_NAMES:
        with open(os.path.join(os.fsencode(source), name), "wb") as file:
            Image.fromarray(PHOTO).save(file, format="PNG")
    with open(os.path.join(os.fsencode(source), b"broken\xff.png"), "wb") as file:
        file.write(b"\x89PNG")
    summary = run_inference(FakePipeline(), open_source(source), tmp_path / "out", progress=False)
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    names = [image["file_name"] for image in content["images"]]
    assert summary.frames == len(set(names)) == len(ODD_NAMES)
    assert [entry["name"] for entry in content["skipped"]] == ["broken\\udcff.png"]
    for text in [*names, *map(str, content["skipped"])]:
        text.encode("utf-8")
    assert "new\nline.png" in names and "bad\\udcff\\udcfebytes.png" in names
    assert len(list((tmp_path / "out").glob("*.jpg"))) == len(ODD_NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_the_command_line_prints_odd_names_and_goes_on(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    with open(os.path.join(os.fsencode(source), b"broken\xff\n.png"), "wb") as file:
        file.write(b"no picture")
    with open(os.path.join(os.fsencode(source), b"good\xff.png"), "wb") as file:
        Image.fromarray(PHOTO).save(file, format="PNG")
    program = """
import sys
from pose_utils import cli
from pose_utils.runtime import opening
from tests.runtime.fakes import FakePipeline
opening.open_pipeline = lambda *arguments: FakePipeline()
sys.exit(cli.main(sys.argv[1:]))
"""
    arguments = [
        "infer",
        "--source",
        str(source),
        "--output-dir",
        os.path.join(source, os.fsdecode(b"out\xfe")),
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=paths.ROOT,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert r"skipped 'broken\\udcff\n.png'" in done.stderr and r"out\udcfe" in done.stdout
    assert os.path.exists(os.path.join(os.fsencode(source), b"out\xfe", b"good_udcff.jpg"))


@pytest.mark.slow
@pytest.mark.parametrize("mode, suffix", [("RGB", "jpg"), ("RGBA", "png"), ("F", "tif"), ("RGB", "webp")])
def test_the_largest_picture_stays_within_the_stated_memory(tmp_path, mode, suffix):
    program = f"""
import os, resource
from PIL import Image
path = {str(tmp_path / "big")!r} + ".{suffix}"
if os.fork() == 0:
    Image.new({mode!r}, (10_000, 10_000)).save(path)
    os._exit(0)
os.wait()
from pose_utils.runtime.media import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert read_image(path).shape == (10_000, 10_000, 3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=paths.ROOT, capture_output=True
    )
    assert int(done.stdout) < 2_000_000, "kilobytes"
