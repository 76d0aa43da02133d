"""A Donkeycar tub is replayed as a bag is; no node runs here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_control.errors import InputError
from liquid_control.ros.replay_command import nodes, nominal_period, recorded

pytest.importorskip("rclpy")


@pytest.fixture
def tub(tmp_path: Path) -> Path:
    """Five records, 50 ms apart."""
    path = tmp_path / "tub"
    (path / "images").mkdir(parents=True)
    cv2.imwrite(str(path / "images" / "one.jpg"), np.full((12, 16, 3), 90, np.uint8))
    record = {"cam/image_array": "one.jpg", "user/angle": 0.25, "user/throttle": 0.3}
    rows = [
        {**record, "_index": index, "_timestamp_ms": 1_668_220_932_000 + 50 * index}
        for index in range(5)
    ]
    (path / "catalog_0.catalog").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = [
        ["cam/image_array", "user/angle", "user/throttle"],
        ["image_array", "float", "float"],
        {},
        {},
        {"paths": ["catalog_0.catalog"], "current_index": 5, "deleted_indexes": []},
    ]
    (path / "manifest.json").write_text("".join(json.dumps(part) + "\n" for part in manifest))
    return path


def test_a_tub_becomes_a_bag_in_the_run_s_own_folder(tub, tmp_path):
    bag = recorded(tub, tmp_path / "run")
    assert bag.parent == (tmp_path / "run").resolve()
    assert nominal_period(bag) == pytest.approx(0.05)
    replay = nodes(bag, Path("/model"), 0.0, "lockstep", tmp_path / "out")[0]
    assert f'bag:="{bag}"' in replay.arguments
    assert recorded(bag, tmp_path / "other") == bag


def test_a_damaged_tub_is_one_sentence(tub, tmp_path):
    (tub / "catalog_0.catalog").unlink()
    with pytest.raises(InputError, match=r"lacks catalog_0\.catalog"):
        recorded(tub, tmp_path / "run")
    with pytest.raises(InputError):
        nominal_period(recorded(tmp_path / "nothing", tmp_path / "run"))
