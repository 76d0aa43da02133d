"""Whatever a camera sends becomes a picture or a clear sentence; no command leaves its limits.

The second half is the policy node itself, in this process, so that thousands of messages go through
its own callback; what it publishes is caught instead of sent.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import strategies as st

from liquid_control.camera import CameraSetup
from liquid_control.command import CURVATURE, SPEED
from liquid_control.data import messages
from liquid_control.data.decoding import ENCODINGS
from liquid_control.data.messages import decode_image, image_hash
from liquid_control.errors import InputError

LARGEST = 2**32 - 1
NOW = 1_700_000_000 * 10**9

sides = st.integers(0, 12) | st.sampled_from([1, 2, 3, 78, 200, 65_536, 2**31 - 1, 2**31, LARGEST])
# Drawing from all of Unicode takes ten times as long.
words = st.text("abgr816u; ü\0\n", max_size=20)
encodings = st.sampled_from([*ENCODINGS, "RGB8", "32FC1", "16UC1", ""]) | words
stamps = st.integers(-(2**31), 2**31 - 1)
formats = words | st.sampled_from(
    [
        *("", "jpeg", "png", "bgr8; jpeg compressed bgr8", "rgb8; png compressed rgb8"),
        *("mono16; png compressed mono16", "bayer_rggb8; png compressed bayer_rggb8", "nv12; jpeg"),
    ]
)


@st.composite
def raw_images(draw: st.DrawFn) -> SimpleNamespace:
    """An Image whose fields fit one another, nearly fit, or do not."""
    encoding, rows, columns = draw(encodings), draw(sides), draw(sides)
    known = ENCODINGS.get(encoding)
    width = columns * (known.bytes if known else 1)
    step = width + draw(st.sampled_from([0, 0, 0, 1, -1, 5]))
    step = draw(st.just(max(step, 0)) | sides)
    lines = rows + rows // 2 if known and known.extra else rows
    size = lines * step + draw(st.sampled_from([0, 0, 0, 1, -1, 7]))
    size = draw(st.just(min(max(size, 0), 20_000)) | st.integers(0, 300))
    return SimpleNamespace(
        header=messages.header(0),
        height=rows,
        width=columns,
        encoding=encoding,
        is_bigendian=draw(st.sampled_from([0, 1, 255])),
        step=min(step, LARGEST),
        data=np.full(size, draw(st.integers(0, 255)), np.uint8),
    )


def encoded(kind: str, shape: tuple[int, ...], sixteen: bool) -> bytes:
    generator = np.random.default_rng(len(shape))
    pixels = generator.integers(0, 256, shape, np.uint8)
    if sixteen:
        pixels = pixels.astype(np.uint16) * 257
    return cv2.imencode(kind, pixels)[1].tobytes()


# Pictures that other bytes are written into.
FILES = [
    encoded(".png", (7, 9, 3), False),
    encoded(".png", (6, 8), False),
    encoded(".png", (6, 8), True),
    encoded(".jpg", (16, 24, 3), False),
    encoded(".bmp", (5, 5, 3), False),
    encoded(".tiff", (5, 5, 3), False),
    encoded(".webp", (8, 8, 3), False),
]


@st.composite
def compressed_images(draw: st.DrawFn) -> SimpleNamespace:
    """A CompressedImage of garbage, or of a picture that is cut off or has other bytes in it."""
    data = bytearray(draw(st.sampled_from(FILES) | st.binary(max_size=200)))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)))):
        if place < len(data):
            data[place] = value
    data = data[: draw(st.none() | st.integers(0, 400))]
    return SimpleNamespace(
        header=messages.header(0), format=draw(formats), data=np.frombuffer(bytes(data), np.uint8)
    )


any_image = raw_images() | compressed_images()


@pytest.mark.cases(100, 40_000)
def test_an_image_is_decoded_to_its_size_or_refused_in_a_sentence(holds: Callable):
    setup = CameraSetup()

    def decoded(message):
        try:
            pixels = decode_image(message)
        except InputError:
            return
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        if hasattr(message, "encoding"):
            assert pixels.shape == (message.height, message.width, 3)
        assert setup.apply(pixels).shape == (78, 200, 3)
        assert len(image_hash(message)) == 16

    holds(decoded, any_image)


def in_ros(message: SimpleNamespace, seconds: int, nanoseconds: int) -> object:
    """The message as rclpy would give it to a callback."""
    from array import array

    from sensor_msgs.msg import CompressedImage, Image

    fields = {
        name: value for name, value in vars(message).items() if name not in ("header", "data")
    }
    kind = Image if hasattr(message, "encoding") else CompressedImage
    made = kind(**fields)
    made.data = array("B", message.data.tobytes())
    made.header.stamp.sec, made.header.stamp.nanosec = seconds, nanoseconds
    return made


good_images = st.builds(
    lambda level, rows, columns: messages.image(np.full((rows, columns, 3), level, np.uint8), 0),
    st.integers(0, 255),
    st.sampled_from([78, 5, 480]),
    st.sampled_from([200, 3, 640]),
)


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_damaged_size_takes_no_gigabytes(kind: str):
    file = bytearray(encoded(kind, (16, 24, 3), False))
    place = file.index(b"\xff\xc0") + 5 if kind == ".jpg" else 16
    width = 2 if kind == ".jpg" else 4
    file[place : place + 2 * width] = (30_000).to_bytes(width, "big") * 2
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="cannot be decoded"):
        decode_image(messages.compressed_image(bytes(file), 0))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.ros
@pytest.mark.cases(40, 5_000)
def test_the_policy_node_answers_any_image_with_a_command_within_its_limits_or_a_stop(
    holds: Callable, policy_node: SimpleNamespace
):
    node, commands = policy_node.node, policy_node.commands
    clock = node.get_clock()

    def answered(message, offset_s, odd_stamp, sequence):
        commands.clear()
        seconds, rest = divmod(clock.now().nanoseconds + round(offset_s * 1e9), 10**9)
        stamp = (seconds, rest) if odd_stamp is None else odd_stamp
        info = {"source_timestamp": 0, "publication_sequence_number": sequence}
        before = node._frames.refused.total()
        node._on_image(in_ros(message, *stamp), info)
        refused = node._frames.refused.total() - before
        assert len(commands) + refused >= 1
        for command in commands:
            speed, rate = command.twist.linear.x, command.twist.angular.z
            assert math.isfinite(speed)
            assert math.isfinite(rate)
            assert SPEED.low <= speed <= SPEED.high
            # In float32, in which 0.06 is not quite what it is here.
            assert abs(rate) <= CURVATURE.high * SPEED.high * (1 + 1e-6)
            assert not refused or speed == rate == 0.0

    offsets = st.floats(-0.5, 0.05) | st.floats(-100.0, 100.0)
    odd = st.none() | st.tuples(stamps, st.sampled_from([0, 1, 999_999_999, 10**9, LARGEST]))
    holds(answered, any_image | good_images, offsets, odd, st.none() | st.integers(0, 2**63))
