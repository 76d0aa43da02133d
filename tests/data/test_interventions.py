"""A person's interventions become the labels of the frames in which the person had the vehicle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.data.drive import load_drive, load_drives
from liquid_control.data.interventions import HOLD_S, held
from liquid_control.errors import InputError

MS = 1_000_000
START = 1_000_000_000
FRAME = np.full((78, 200, 3), (10, 100, 200), np.uint8)


def robot_bag(
    path: Path,
    spans: tuple[tuple[int, int], ...] = ((4000, 5000),),
    seconds: float = 8.0,
    speed: float = 4.0,
    prefix: str = "",
    late_ms: int = 0,
) -> Path:
    """10 frames per second; the policy goes straight, the person, at 20 Hz, 0.05 1/m to the left.

    Args:
        spans: first and last time of each intervention [ms].
        late_ms: the person's clock is ahead by this.
    """
    with BagWriter(path) as bag:
        for time in range(0, int(seconds * 1000), 50):
            stamp = START + time * MS
            if time % 100 == 0:
                frame = messages.png_image(FRAME, stamp)
                bag.write(f"{prefix}/camera/image_raw/compressed", frame, stamp)
                straight = messages.twist_stamped(4.0, 0.0, stamp)
                bag.write(f"{prefix}/cmd_vel", straight, stamp)
            if any(first <= time <= last for first, last in spans):
                left = messages.twist_stamped(speed, 0.05 * speed, stamp + late_ms * MS)
                bag.write(f"{prefix}/intervention", left, stamp)
    return path


def times_ms(drive) -> np.ndarray:
    return (drive.stamps - START) // MS


def test_frames_in_the_persons_hand_have_the_persons_command(tmp_path: Path) -> None:
    drive = load_drive(robot_bag(tmp_path / "bag"), labels="interventions")
    times, counted = times_ms(drive), drive.weights > 0
    # 0.25 s after the last command the hand is off; two seconds before the first build up a state.
    assert times[counted].tolist() == list(range(4000, 5201, 100))
    assert times[~counted].tolist() == list(range(2000, 4000, 100))
    assert np.allclose(drive.labels[counted], [0.05, 4.0])
    assert np.all(drive.labels[~counted] == 0)
    assert drive.label_topic == "/intervention"
    assert drive.skipped["without label"] == 80 - len(drive)
    assert len(drive.gaps) == 0


def test_what_the_person_let_the_policy_do_can_be_a_label_too(tmp_path: Path) -> None:
    drive = load_drive(robot_bag(tmp_path / "bag"), labels="driven")
    times, counted = times_ms(drive), drive.weights > 0
    assert len(drive) == 80
    # The last second before an intervention is the mistake that it answers.
    assert times[~counted].tolist() == list(range(3000, 4000, 100))
    by_hand = (times >= 4000) & (times <= 5200)
    assert np.allclose(drive.labels[by_hand, 0], 0.05)
    assert np.all(drive.labels[~by_hand, 0] == 0)
    assert np.allclose(drive.labels[counted & ~by_hand, 1], 4.0)


def test_two_interventions_far_apart_are_two_runs(tmp_path: Path) -> None:
    path = robot_bag(tmp_path / "bag", ((2500, 3000), (6500, 7000)))
    drive = load_drive(path, labels="interventions")
    assert times_ms(drive)[drive.gaps].tolist() == [4500]
    assert [bool(drive.weights[slice(*run)].any()) for run in drive.runs()] == [True, True]


def test_each_kind_of_labels_has_its_own_cache(tmp_path: Path) -> None:
    path = robot_bag(tmp_path / "bag")
    first = {kind: load_drive(path, labels=kind) for kind in ("interventions", "driven", "expert")}
    assert len({len(drive) for drive in first.values()}) == 2
    for kind, drive in first.items():
        again = load_drive(path, labels=kind)
        assert np.array_equal(again.labels, drive.labels)
        assert np.array_equal(again.weights, drive.weights)
        assert np.array_equal(again.stamps, drive.stamps)


def test_a_vehicle_may_have_a_namespace(tmp_path: Path) -> None:
    path = robot_bag(tmp_path / "bag", prefix="/car_2")
    assert load_drive(path, labels="interventions").label_topic == "/car_2/intervention"
    assert load_drive(path, labels="driven").label_topic == "/car_2/intervention and /car_2/cmd_vel"


def test_the_speed_of_a_stop_is_a_label_but_not_its_path(tmp_path: Path) -> None:
    path = robot_bag(tmp_path / "bag", speed=0.2)
    drive = load_drive(path, outputs=["speed"], labels="interventions")
    assert np.allclose(drive.labels[drive.weights > 0], 0.2)
    with pytest.raises(InputError, match=r"no faster than 0\.3 m/s"):
        load_drive(path, labels="interventions")


def test_a_drones_velocity_is_a_label(tmp_path: Path) -> None:
    path = robot_bag(tmp_path / "bag")
    drive = load_drive(path, outputs=["vx", "yaw_rate"], labels="interventions")
    assert np.allclose(drive.labels[drive.weights > 0], [4.0, 0.2])


def test_bags_that_hold_no_use_are_refused(tmp_path: Path, make_drive_bag: Callable) -> None:
    demonstration = make_drive_bag(tmp_path / "demonstration", frames=6)
    with pytest.raises(InputError, match="holds no intervention: expected the topic intervention"):
        load_drive(demonstration, labels="interventions")
    with pytest.raises(InputError, match="None of 1 bags holds an intervention"):
        load_drives([demonstration], labels="interventions")
    with pytest.raises(InputError, match="not steering; train for outputs"):
        load_drive(robot_bag(tmp_path / "a"), outputs=["steering"], labels="interventions")
    with pytest.raises(InputError, match="use the same clock"):
        load_drive(robot_bag(tmp_path / "b", late_ms=3_600_000), labels="interventions")
    with pytest.raises(InputError, match="Labels come from expert, interventions, driven"):
        load_drive(robot_bag(tmp_path / "c"), labels="intervention")
    with BagWriter(tmp_path / "d") as bag:
        bag.write("/camera/image_raw", messages.image(FRAME, START), START)
        bag.write("/intervention", messages.twist_stamped(1.0, 0.0, START).twist, START)
    with pytest.raises(InputError, match="is geometry_msgs/msg/Twist, expected"):
        load_drive(tmp_path / "d", labels="interventions")
    with BagWriter(tmp_path / "e") as bag:
        for name in ("a", "b"):
            person = messages.twist_stamped(1.0, 0.0, START)
            bag.write(f"/{name}/camera/image_raw", messages.image(FRAME, START), START)
            bag.write(f"/{name}/intervention", person, START)
    with pytest.raises(InputError, match="of one vehicle"):
        load_drive(tmp_path / "e", topic="/a/camera/image_raw", labels="interventions")


def test_commands_that_are_no_numbers_are_no_labels(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(10):
            stamp = START + number * 100 * MS
            bag.write("/camera/image_raw", messages.image(FRAME, stamp), stamp)
            rate = float("nan") if number > 4 else 0.1
            bag.write("/intervention", messages.twist_stamped(2.0, rate, stamp), stamp)
    drive = load_drive(tmp_path / "bag", labels="interventions")
    # The last good command holds for a quarter of a second.
    assert times_ms(drive).tolist() == [0, 100, 200, 300, 400, 500, 600]
    assert np.allclose(drive.labels[:, 0], 0.05)


def test_demonstrations_lie_beside_robots_drives(
    tmp_path: Path, make_drive_bag: Callable, capsys: pytest.CaptureFixture
) -> None:
    robot_bag(tmp_path / "all" / "robot")
    make_drive_bag(tmp_path / "all" / "expert", frames=5)
    robot_bag(tmp_path / "all" / "untouched", spans=())
    expert, robot = load_drives([tmp_path / "all"], labels="interventions")
    assert (expert.path.name, robot.path.name) == ("expert", "robot")
    assert expert.weights.all()
    assert "1 of 3 bags are left out" in capsys.readouterr().out
    *_, untouched = load_drives([tmp_path / "all"], labels="driven")
    assert untouched.path.name == "untouched"
    assert untouched.weights.all()


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=30, unique=True).map(sorted),
    st.lists(st.integers(0, 4000), min_size=1, max_size=30, unique=True).map(sorted),
)
def test_a_command_holds_until_the_next_one_and_no_longer_than_a_quarter_of_a_second(
    commands: list[int], frames: list[int]
) -> None:
    found = held(np.array(frames) * MS, np.array(commands) * MS)
    for frame, which in zip(frames, found, strict=True):
        before = [k for k, each in enumerate(commands) if 0 <= frame - each <= HOLD_S * 1000]
        assert which == (before[-1] if before else -1)
