"""Every encoding of a camera gives back a picture that is known, from nodes and from bags alike."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from liquid_control.camera import CameraSetup
from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.data.decoding import ENCODINGS, decode_image, is_plain
from liquid_control.data.drive import load_drive
from liquid_control.data.importers.rosbag import import_rosbag
from liquid_control.errors import InputError

ROWS, COLUMNS = 24, 32
# Four flat fields, so that filters of patterns and halved colours do no harm inside of them.
FIELDS = {(0, 0): (200, 40, 20), (0, 1): (30, 180, 60), (1, 0): (20, 50, 210), (1, 1): (90, 90, 90)}
PICTURE = np.zeros((ROWS, COLUMNS, 3), np.uint8)
for (down, right), colour in FIELDS.items():
    PICTURE[down * 12 : down * 12 + 12, right * 16 : right * 16 + 16] = colour


def raw(encoding: str, rows: np.ndarray, padding: int = 0, height: int = ROWS, big: int = 0):
    """A raw image of PICTURE's size with lines uint8 (lines, bytes), each padded by 99s."""
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=COLUMNS,
        step=padded.shape[1],
        is_bigendian=big,
        data=padded.tobytes(),
    )


def mosaic(pattern: str) -> np.ndarray:
    """What a sensor sees under a pattern's filters, named row by row: "rggb"."""
    seen = np.zeros((ROWS, COLUMNS), np.uint8)
    for place, letter in enumerate(pattern):
        down, right = divmod(place, 2)
        seen[down::2, right::2] = PICTURE[down::2, right::2, "rgb".index(letter)]
    return seen


def yuv() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BT.601, studio range (ITU-R BT.601-7, 2.5): Y 16 to 235, U and V 16 to 240."""
    r, g, b = (PICTURE[..., channel].astype(float) for channel in range(3))
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    v = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    return tuple(np.rint(part).astype(np.uint8) for part in (y, u, v))


def packed(order: str) -> np.ndarray:
    """4:2:2 in one plane: two pixels share U and V."""
    y, u, v = yuv()
    parts = {"u": u[:, ::2], "v": v[:, ::2], "0": y[:, ::2], "1": y[:, 1::2]}
    return np.stack([parts[letter] for letter in order], axis=2).reshape(ROWS, -1)


def planes(order: str) -> np.ndarray:
    """4:2:0: the brightness, below it the colours of 2 x 2 pixels side by side."""
    y, u, v = yuv()
    parts = {"u": u[::2, ::2], "v": v[::2, ::2]}
    colours = np.stack([parts[letter] for letter in order], axis=2).reshape(ROWS // 2, -1)
    return np.concatenate([y, colours])


GREY = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)
SHOWN = {
    "rgb8": (PICTURE, PICTURE),
    "bgr8": (PICTURE[..., ::-1], PICTURE),
    "rgba8": (np.dstack([PICTURE, GREY]), PICTURE),
    "bgra8": (np.dstack([PICTURE[..., ::-1], GREY]), PICTURE),
    "mono8": (GREY, np.repeat(GREY[..., None], 3, 2)),
    "mono16": ((GREY.astype("<u2") * 257).view(np.uint8), np.repeat(GREY[..., None], 3, 2)),
    **{f"bayer_{name}8": (mosaic(name), PICTURE) for name in ("rggb", "bggr", "gbrg", "grbg")},
    "yuv422": (packed("u0v1"), PICTURE),
    "uyvy": (packed("u0v1"), PICTURE),
    "yuv422_yuy2": (packed("0u1v"), PICTURE),
    "yuyv": (packed("0u1v"), PICTURE),
    "nv12": (planes("uv"), PICTURE),
    "nv21": (planes("vu"), PICTURE),
}


def assert_shows(decoded: np.ndarray, expected: np.ndarray, encoding: str) -> None:
    """Equal inside of the fields: patterns to the bit, YUV but for its rounding."""
    assert decoded.dtype == np.uint8
    assert decoded.shape == expected.shape
    within = 3 if encoding.startswith(("yu", "uy", "nv")) else 0
    for down in (0, 12):
        for right in (0, 16):
            inside = np.s_[down + 2 : down + 10, right + 2 : right + 14]
            apart = np.abs(decoded[inside].astype(int) - expected[inside]).max()
            assert apart <= within, (encoding, down, right, apart)


def test_there_is_a_known_picture_for_every_encoding():
    assert SHOWN.keys() == ENCODINGS.keys()


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", SHOWN)
def test_every_encoding_gives_back_the_picture(encoding, padding):
    data, expected = SHOWN[encoding]
    message = raw(encoding, data.reshape(len(data), -1), padding)
    assert_shows(decode_image(message), expected, encoding)


def test_the_order_of_two_bytes_is_told_by_the_message():
    data = (GREY.astype(">u2") * 257).astype(">u2").view(np.uint8)
    decoded = decode_image(raw("mono16", data, big=1))
    assert np.array_equal(decoded[..., 0], GREY)
    every = np.arange(65536, dtype="<u2").reshape(64, 1024)
    message = raw("mono16", every.view(np.uint8))
    message.height, message.width = every.shape
    expected = np.rint(every * (255 / 65535))
    assert np.array_equal(decode_image(message)[..., 1], expected)


def test_a_picture_that_needs_no_conversion_is_not_copied():
    message = raw("rgb8", PICTURE.reshape(ROWS, -1))
    assert np.shares_memory(decode_image(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("encoding", SHOWN)
def test_sizes_that_do_not_fit_are_said_in_one_sentence(encoding):
    data = SHOWN[encoding][0].reshape(len(SHOWN[encoding][0]), -1)
    for change in (
        {"height": ROWS - 2},
        {"width": COLUMNS * 2},
        {"step": 1},
        {"width": 0},
        {"data": data.tobytes()[:-1]},
    ):
        message = raw(encoding, data)
        for name, value in change.items():
            setattr(message, name, value)
        with pytest.raises(InputError, match=f"{encoding} with step .* needs .* bytes, got"):
            decode_image(message)


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "yuv422", "nv12"])
def test_a_pattern_of_twos_has_no_odd_side(encoding):
    message = raw(encoding, np.zeros((4, 6), np.uint8), height=3 if encoding == "nv12" else 4)
    message.width = 3
    with pytest.raises(InputError, match="even number"):
        decode_image(message)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "", "rgb8 "])
def test_an_unknown_encoding_is_named_with_those_that_are_known(encoding):
    with pytest.raises(InputError, match=r"not supported; publish the camera as one of rgb8, bgr8"):
        decode_image(raw(encoding, PICTURE.reshape(ROWS, -1)))


def test_rows_that_overlap_are_refused():
    message = raw("rgb8", PICTURE.reshape(ROWS, -1))
    message.step = 0
    message.data = b""
    with pytest.raises(InputError, match="needs"):
        decode_image(message)


@pytest.mark.parametrize(
    ("format", "put", "suffix", "shown"),
    [
        ("png", PICTURE[..., ::-1], ".png", "rgb8"),
        ("jpeg", PICTURE[..., ::-1], ".jpg", "rgb8"),
        ("rgb8; png compressed bgr8", PICTURE[..., ::-1], ".png", "rgb8"),
        ("bgr8; jpeg compressed bgr8", PICTURE[..., ::-1], ".jpg", "rgb8"),
        # An encoder that was given RGB for BGR: the name says so.
        ("rgb8; png compressed rgb8", PICTURE, ".png", "rgb8"),
        ("mono8; jpeg compressed ", GREY, ".jpg", "mono8"),
        ("mono16; png compressed ", GREY.astype(np.uint16) * 257, ".png", "mono16"),
        ("bayer_rggb8; png compressed ", mosaic("rggb"), ".png", "bayer_rggb8"),
        ("bayer_gbrg8; png compressed ", mosaic("gbrg"), ".png", "bayer_gbrg8"),
    ],
)
def test_compressed_pictures_show_what_the_camera_saw(format, put, suffix, shown):
    quality = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    ok, data = cv2.imencode(suffix, put, quality if suffix == ".jpg" else [])
    assert ok
    decoded = decode_image(SimpleNamespace(format=format, data=data.tobytes()))
    assert_shows(decoded, SHOWN[shown][1], "yuv" if suffix == ".jpg" else shown)
    assert is_plain(format) == (not format.startswith("bayer") and "compressed rgb8" not in format)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 no picture", bytes(100)])
def test_a_damaged_file_is_said_in_one_sentence(data):
    with pytest.raises(InputError, match="cannot be decoded"):
        decode_image(SimpleNamespace(format="jpeg", data=data))


def test_a_pattern_in_three_channels_is_refused():
    _, data = cv2.imencode(".png", PICTURE)
    with pytest.raises(InputError, match="one channel"):
        decode_image(SimpleNamespace(format="bayer_rggb8; png compressed ", data=data.tobytes()))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_recording_of_a_pattern_trains(tmp_path: Path, compressed: bool):
    """As it is, and brought into another bag."""
    bag, copy = tmp_path / "bag", tmp_path / "copy"
    topic = "/camera/image_raw/compressed" if compressed else "/camera/image_raw"
    pattern = mosaic("bggr")
    with BagWriter(bag) as writer:
        for index in range(5):
            stamp = 1_000_000_000 + index * 33_000_000
            message = messages.image(pattern, stamp)
            message.encoding = "bayer_bggr8"
            if compressed:
                data = cv2.imencode(".png", pattern)[1].tobytes()
                message = messages.compressed_image(
                    data, stamp, format="bayer_bggr8; png compressed "
                )
            writer.write(topic, message, stamp)
            writer.write("/cmd_vel", messages.twist_stamped(2.0, 0.1, stamp), stamp)
    topics = tmp_path / "map.yaml"
    topics.write_text(f"camera: {topic}\ncommand: /cmd_vel\n")
    import_rosbag(bag, copy, topics, progress=False)
    for each in (bag, copy):
        drive = load_drive(each, CameraSetup(ROWS, COLUMNS), cache=False)
        assert len(drive.frames) == 5
        assert_shows(np.asarray(drive.frames[2]), PICTURE, "bayer_bggr8")
