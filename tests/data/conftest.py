"""Small bags and tubs made for these tests."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.data.info import survey
from liquid_control.data.view import draw

PERIOD_NS = 33_333_333


def picture(number: int) -> np.ndarray:
    """A frame that tells its number: a bar that moves by 2 columns a frame."""
    frame = np.full((78, 200, 3), (40, 90, 160), np.uint8)
    frame[30:50, (2 * number) % 190 : (2 * number) % 190 + 10] = (number % 256, 255, 0)
    return frame


@pytest.fixture
def make_drive_bag() -> Callable[..., Path]:
    """make(path, frames, skip=()): a training bag; frames in `skip` are missing."""

    def make(path: Path, frames: int = 60, skip: tuple[int, ...] = ()) -> Path:
        with BagWriter(path) as bag:
            for number in range(frames):
                if number in skip:
                    continue
                stamp_ns = 1_000_000_000 + number * PERIOD_NS
                bag.write(
                    "/camera/image_raw/compressed",
                    messages.png_image(picture(number), stamp_ns),
                    stamp_ns,
                )
                label = messages.named_vector(
                    ["curvature", "speed"], [number * 1e-3, 8.0], stamp_ns
                )
                bag.write("/expert/command", label, stamp_ns)
        return path

    return make


@pytest.fixture
def look(tmp_path: Path) -> Callable[[Path, int], None]:
    """look(bag, frames): `data info` and `data view` find so many labels, and can draw them."""

    def look(bag: Path, frames: int) -> None:
        found = survey(bag)
        assert len(found.commands["/expert/command"].values) == frames
        assert not found.recovered
        picture = tmp_path / "look.png"
        draw([bag], picture, frames=2)
        assert picture.stat().st_size > 10_000
        picture.unlink()

    return look


@pytest.fixture
def make_tub() -> Callable[..., Path]:
    """make(path, records, ...): a Donkeycar tub of two catalogs whose records share one image."""

    def make(
        path: Path,
        records: list[dict],
        deleted: tuple[int, ...] = (),
        current_index: int | None = None,
    ) -> Path:
        (path / "images").mkdir(parents=True)
        image = cv2.imencode(".jpg", cv2.cvtColor(picture(7), cv2.COLOR_RGB2BGR))[1].tobytes()
        (path / "images" / "whole.jpg").write_bytes(image)
        (path / "images" / "cut.jpg").write_bytes(image[: len(image) // 2])
        rows = [
            {
                "_index": index,
                "_session_id": "22-11-12_0",
                "_timestamp_ms": 1_668_220_932_000 + 50 * index,
                "cam/image_array": "whole.jpg",
                "user/angle": 0.25,
                "user/mode": "user",
                "user/throttle": 0.3,
                **record,
            }
            for index, record in enumerate(records)
        ]
        half = len(rows) // 2
        for number, part in enumerate((rows[:half], rows[half:])):
            text = "".join(json.dumps(row) + "\n" for row in part)
            (path / f"catalog_{number}.catalog").write_text(text)
        manifest = [
            ["cam/image_array", "user/angle", "user/throttle", "user/mode"],
            ["image_array", "float", "float", "str"],
            {},
            {"created_at": 1668220914.3},
            {
                "paths": ["catalog_0.catalog", "catalog_1.catalog"],
                "current_index": len(rows) if current_index is None else current_index,
                "max_len": 1000,
                "deleted_indexes": list(deleted),
            },
        ]
        (path / "manifest.json").write_text("".join(json.dumps(x) + "\n" for x in manifest))
        return path

    return make
