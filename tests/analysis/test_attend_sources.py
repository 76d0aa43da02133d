"""Every kind of input becomes one stream of frames with times, or a sentence that says why not."""

import json

import av
import cv2
import numpy as np
import pytest

from liquid_control.analysis.sources import open_source
from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.data.drive import SESSION_TOPIC
from liquid_control.errors import InputError

MS = 1_000_000


def picture(shade: int, size=(30, 40)) -> np.ndarray:
    return np.full((*size, 3), (shade, 2 * shade, 10), np.uint8)


def record(path, stamps, first=0, expert=None):
    with BagWriter(path) as bag:
        for number, stamp in enumerate(stamps):
            if stamp is None:
                bag.write(SESSION_TOPIC, messages.string("again"), stamps[number - 1] * MS + 1)
                continue
            image = messages.image(picture(first + number), stamp * MS)
            bag.write("/camera/image_raw", image, stamp * MS)
            if expert is not None:
                command = messages.named_vector(["curvature"], [expert * number], stamp * MS)
                bag.write("/expert/command", command, stamp * MS)
    return path


def shades(shots):
    return [int(shot.image[0, 0, 0]) for shot in shots]


def test_a_bag_gives_its_frames_with_elapsed_times_and_the_experts_commands(tmp_path):
    bag = record(tmp_path / "one", [1000, 1040, 1090], expert=0.01)
    source = open_source(str(bag))
    shots = list(source)
    assert (source.kind, source.count, dict(source.skipped)) == ("bag", 3, {})
    assert shades(shots) == [0, 1, 2]
    assert [shot.begins for shot in shots] == [True, False, False]
    assert [shot.elapsed for shot in shots] == pytest.approx([1 / 30, 0.04, 0.05])
    assert [shot.given["curvature"] for shot in shots] == pytest.approx([0, 0.01, 0.02])


def test_a_gap_or_another_session_begins_afresh_and_a_repeated_frame_counts_once(tmp_path):
    bag = record(tmp_path / "one", [1000, 1030, 1900, 1930, 1930, None, 1960])
    source = open_source(str(bag))
    shots = list(source)
    assert [shot.begins for shot in shots] == [True, False, True, False, True]
    assert source.skipped == {"out of order or sent twice": 1}


def test_a_runs_folder_and_a_folder_of_bags_are_read_in_order(tmp_path):
    record(tmp_path / "run" / "bag", [1000, 1030])
    assert shades(open_source(str(tmp_path / "run"))) == [0, 1]
    for number in range(3):
        record(tmp_path / "many" / f"{number:03d}", [1000, 1030], first=10 * number)
    shots = list(open_source(str(tmp_path / "many")))
    assert shades(shots) == [0, 1, 10, 11, 20, 21]
    assert [shot.begins for shot in shots] == [True, False] * 3


def test_a_folder_of_images_is_read_by_name_at_the_given_rate(tmp_path):
    for number in (2, 0, 1):
        image = cv2.cvtColor(picture(10 * number), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    (tmp_path / "3.png").write_bytes(b"no image")
    source = open_source(str(tmp_path), rate=10.0)
    shots = list(source)
    assert shades(shots) == [0, 10, 20]
    assert [shot.elapsed for shot in shots[1:]] == pytest.approx([0.1, 0.1])
    assert source.skipped == {"damaged": 1}
    assert shades(open_source(str(tmp_path / "2.png"))) == [20]


def film(path, count=10, rate=20):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(20 * number, (48, 64)), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def test_images_are_read_in_the_order_of_their_numbers(tmp_path):
    for number in range(8, 12):
        cv2.imwrite(str(tmp_path / f"{number}_front.png"), picture(number)[..., ::-1])
    cv2.imwrite(str(tmp_path / "1_front.png"), picture(1)[..., ::-1])
    assert shades(open_source(str(tmp_path))) == [1, 8, 9, 10, 11]


def test_a_video_is_read_with_its_own_times(tmp_path):
    source = open_source(str(film(tmp_path / "drive.mp4")))
    shots = list(source)
    assert source.count == 10
    assert [shot.elapsed for shot in shots[1:]] == pytest.approx([0.05] * 9, abs=1e-4)
    assert shots[4].image.shape == (48, 64, 3)
    assert shots[4].image[20, 20].astype(int) == pytest.approx([80, 160, 10], abs=12)


def test_a_tub_gives_what_the_person_steered_with_left_positive(tmp_path):
    (tmp_path / "images").mkdir()
    lines = []
    for number in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.jpg"), picture(100, (120, 160)))
        record = {
            "_index": number,
            "_session_id": "a" if number < 2 else "b",
            "_timestamp_ms": 1000 + 50 * number,
            "cam/image_array": f"{number}.jpg",
            "user/angle": 0.25,
            "user/throttle": 0.5,
            "user/mode": "user",
        }
        lines.append(json.dumps(record))
    (tmp_path / "catalog_0.catalog").write_text("\n".join(lines) + "\n")
    columns = ["cam/image_array", "user/angle", "user/throttle", "user/mode"]
    kinds = ["image_array", "float", "float", "str"]
    facts = {"paths": ["catalog_0.catalog"], "current_index": 3, "deleted_indexes": []}
    manifest = [columns, kinds, {}, {}, facts]
    (tmp_path / "manifest.json").write_text("\n".join(map(json.dumps, manifest)) + "\n")
    shots = list(open_source(str(tmp_path)))
    assert [shot.given for shot in shots] == [{"steering": -0.25, "throttle": 0.5}] * 3
    assert [shot.begins for shot in shots] == [True, False, True]
    assert shots[1].image.shape == (120, 160, 3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nowhere", "There is nothing at 'nowhere'; give a bag, a folder of bags"),
        ("topic:camera", "given as topic:/its/name"),
        ("{folder}/empty", "holds no bag, no tub and no images"),
        ("{folder}/notes.txt", "is neither a bag nor a video"),
        ("{folder}/broken.mp4", "cannot be read as a video"),
    ],
)
def test_what_cannot_be_read_is_answered_in_a_sentence(tmp_path, text, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(InputError, match=sentence):
        list(open_source(text.format(folder=tmp_path)))


def test_a_cut_video_gives_what_is_whole(tmp_path):
    content = film(tmp_path / "whole.mkv", count=40).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    shots = list(open_source(str(tmp_path / "cut.mkv")))
    assert 0 < len(shots) < 40
