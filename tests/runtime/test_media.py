"""Pictures of every kind become uint8 BGR, upright, or are refused with a reason."""

import os

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pose_utils.errors import InputError
from pose_utils.runtime import media
from pose_utils.runtime.media import open_source, read_image

RED_LEFT = np.zeros((20, 40, 3), np.uint8)
RED_LEFT[:, :20] = (255, 0, 0)
RED_LEFT[:, 20:] = (0, 0, 255)
"""RGB: the left half red, the right half blue."""


def is_red_left(image, tolerance=12):
    left, right = image[4:-4, 4:12].reshape(-1, 3), image[4:-4, -12:-4].reshape(-1, 3)
    return (
        np.abs(left - np.float32([0, 0, 255])).max() < tolerance
        and np.abs(right - np.float32([255, 0, 0])).max() < tolerance
    )


def save(path, picture, **options):
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif", "gif"])
def test_every_format_is_read_as_bgr(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a.{suffix}", Image.fromarray(RED_LEFT)))
    assert image.dtype == np.uint8 and image.shape == (20, 40, 3)
    assert is_red_left(image, 60 if suffix in ("jpg", "webp") else 12)


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "YCbCr"])
def test_other_channels_are_converted(tmp_path, mode):
    path = tmp_path / ("a.png" if mode in ("RGBA", "P") else "a.tif")
    assert is_red_left(read_image(save(path, Image.fromarray(RED_LEFT).convert(mode))), 60)


def test_a_cmyk_jpeg_is_not_inverted(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(RED_LEFT).convert("CMYK"), quality=95)
    assert is_red_left(read_image(path), 80)


def test_what_a_transparent_pixel_hides_is_no_reason_to_fail(tmp_path):
    pixels = np.dstack([RED_LEFT, np.full((20, 40), 0, np.uint8)])
    assert read_image(save(tmp_path / "a.png", Image.fromarray(pixels))).shape == (20, 40, 3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = tmp_path / f"a.{suffix}"
    assert cv2.imwrite(str(path), ramp)
    image = read_image(path)
    np.testing.assert_allclose(image[..., 0].ravel(), np.arange(256), atol=1)
    assert (image[..., 0] == image[..., 2]).all()


def test_sixteen_bit_colour_keeps_its_colours(tmp_path):
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), RED_LEFT[..., ::-1].astype(np.uint16) * 257)
    assert is_red_left(read_image(path))


def test_floating_point_and_bilevel_pictures_are_read(tmp_path):
    ramp = np.linspace(0, 1, 256, dtype="float32").reshape(16, 16)
    image = read_image(save(tmp_path / "a.tif", Image.fromarray(ramp)))
    assert image[0, 0, 0] == 0 and image[-1, -1, 0] == 255
    bits = read_image(save(tmp_path / "b.png", Image.fromarray(RED_LEFT).convert("1")))
    assert set(np.unique(bits)) <= {0, 255}


def test_numbers_that_are_none_do_not_stop_a_floating_point_picture(tmp_path):
    values = np.full((8, 8), 0.5, "float32")
    values[0, 0], values[1, 1] = np.nan, 1.0
    image = read_image(save(tmp_path / "a.tif", Image.fromarray(values)))
    assert image[4, 4, 0] == 128 and image[1, 1, 0] == 255


@pytest.mark.parametrize("grey", ["L", "LA"])
def test_grey_is_repeated(tmp_path, grey):
    image = read_image(save(tmp_path / "a.png", Image.fromarray(RED_LEFT).convert(grey)))
    assert image.shape == (20, 40, 3) and (image[..., 0] == image[..., 1]).all()
    assert image[10, 5, 0] == pytest.approx(76, abs=1) and image[10, 35, 0] == pytest.approx(29, abs=1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_applied(tmp_path, suffix, orientation):
    picture = Image.fromarray(RED_LEFT)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # What the camera did: Pillow's transpositions.
    stored = picture if orientation == 1 else picture.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x112] = orientation
    path = save(tmp_path / f"a.{suffix}", stored, exif=exif)
    image = read_image(path)
    assert image.shape == (20, 40, 3)
    assert is_red_left(image, 60)


def test_one_pixel_is_a_picture(tmp_path):
    assert read_image(save(tmp_path / "a.png", Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[3, 2, 1]]]


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    image = read_image(save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]))
    assert image[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif", "gif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_a_truncated_picture_is_refused(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"a\.\w+"):
        read_image(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_read_or_refused_but_never_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    suffix = data.draw(st.sampled_from(["jpg", "png", "bmp", "webp", "tif", "gif"]))
    path = save(folder / f"a.{suffix}", Image.fromarray(RED_LEFT))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        image = read_image(path)
    except InputError:
        return
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_text_named_jpg_and_a_folder_named_jpg_are_refused(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(InputError, match="is no picture"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path / "folder.jpg")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_image(tmp_path / "absent.jpg")


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "MAX_PIXELS", 700)
    with pytest.raises(InputError, match="40x20 pixels; at most 700"):
        read_image(save(tmp_path / "a.png", Image.fromarray(RED_LEFT)))


NAMES = [
    "with space.png",
    "ünïcödé 人.png",
    "a[1].png",
    "quote'\".png",
    "-dash.png",
    "#hash.PNG",
    ".hidden.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_read(tmp_path, name):
    path = save(tmp_path / name, Image.fromarray(RED_LEFT), format="PNG")
    (frame,) = list(open_source(path))
    assert frame.name == name and is_red_left(frame.image)


def test_a_folder_gives_its_pictures_in_order_and_lists_what_is_broken(tmp_path):
    for name in ("b.png", "a.jpg", "c.PNG"):
        save(tmp_path / name, Image.fromarray(RED_LEFT), format="JPEG" if name.endswith("jpg") else "PNG")
    (tmp_path / "aa.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "notes.txt").write_text("not looked at")
    source = open_source(tmp_path)
    assert source.kind == "pictures" and source.length == 5
    assert [frame.name for frame in source] == ["a.jpg", "b.png", "c.PNG"]
    assert [name for name, _ in source.skipped] == ["aa.jpg", "folder.jpg"]
    assert "is empty" in source.skipped[0][1]


def test_a_glob_gives_what_it_matches(tmp_path):
    for name in ("b1.png", "b2.png", "c1.png"):
        save(tmp_path / name, Image.fromarray(RED_LEFT))
    assert [frame.name for frame in open_source(f"{tmp_path}/b*.png")] == ["b1.png", "b2.png"]


@pytest.mark.parametrize("what", ["nothing.png", "*.tif", "empty"])
def test_a_source_with_nothing_in_it_is_refused(tmp_path, what):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"does not exist|holds no picture"):
        open_source(tmp_path / what)


@pytest.mark.parametrize("name", ["7", "²"])
def test_a_file_goes_before_a_camera_of_the_same_number(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / name, Image.fromarray(RED_LEFT), format="PNG")
    assert open_source(name).kind == "pictures"


def test_no_camera_and_no_stream_are_said_in_one_line():
    for location in ("97", "rtsp://127.0.0.1:9/none"):
        with pytest.raises(InputError, match="cannot be opened"):
            open_source(location)
    with pytest.raises(InputError, match="does not exist"):
        open_source("²")


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (64, 48))
    for index in range(6):
        writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
    writer.release()
    return path


def test_a_video_gives_its_frames_in_order(clip):
    source = open_source(clip)
    assert (source.kind, source.length, source.fps) == ("video", 6, 12.5)
    frames = list(source)
    assert [frame.name for frame in frames] == [f"clip#{index:06d}" for index in range(6)]
    assert [frame.index for frame in frames] == list(range(6))
    for index, frame in enumerate(frames):
        assert abs(frame.image.mean() - 40 * index) < 4
    assert source.skipped == []


def test_a_video_that_ends_early_is_listed(clip):
    source = open_source(clip)
    source.length = 9  # What the header of a video that was cut off would claim.
    assert len(list(source)) == 6
    assert "after 6 of 9 frames" in source.skipped[0][1]


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(InputError, match="cannot be opened"):
        open_source(tmp_path / "a.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_picture_without_permission_is_refused(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(RED_LEFT))
    path.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        read_image(path)
