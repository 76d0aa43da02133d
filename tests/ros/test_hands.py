"""What keys and sticks mean, and a terminal that is left as it was found."""

from __future__ import annotations

import math
import os
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.errors import InputError
from liquid_control.ros.hands import Joystick, Keyboard, Reach, Wish
from liquid_control.ros.terminal import Keys
from liquid_control.ros.vehicle import Flight, Motion

REACH = Reach(speed=10.0, reverse=2.0, curvature=0.1, lateral=2.0, climb=1.0, turn=0.5)
ROLLING = Motion(6.0, 0.03)


def test_the_first_key_takes_the_vehicle_as_it_moves():
    keyboard = Keyboard(REACH)
    assert keyboard.motion(0.0) is None
    assert keyboard.press("a", 1.0, ROLLING) is None
    assert keyboard.motion(1.0) == Motion(6.0, pytest.approx(0.04))
    keyboard.press("down", 1.1, Motion())
    assert keyboard.motion(1.2) == Motion(5.0, pytest.approx(0.04))
    keyboard.press("c", 1.3, Motion())
    assert keyboard.motion(1.3) == Motion(5.0, 0.0)
    keyboard.press("x", 1.4, Motion())
    assert keyboard.motion(1.4) == Motion(0.0, 0.0)


def test_a_drone_is_taken_as_it_flies_and_goes_where_a_car_cannot():
    keyboard, flying = Keyboard(REACH), Flight((4.0, 0.5, -0.2), 0.1)
    keyboard.press("i", 1.0, flying)
    assert keyboard.motion(1.0) == Flight((4.0, 0.5, pytest.approx(-0.1)), 0.1)
    for key in "klladw":
        keyboard.press(key, 1.1, Flight())
    there = keyboard.motion(1.1)
    assert there.velocity == pytest.approx((5.0, 0.1, -0.2))
    assert there.yaw_rate == pytest.approx(0.1)
    for key in "jaa":
        keyboard.press(key, 1.2, Flight())
    assert keyboard.motion(1.2).velocity == pytest.approx((5.0, 0.3, -0.2))
    assert keyboard.motion(1.2).yaw_rate == pytest.approx(0.2)
    keyboard.press("c", 1.3, Flight())
    assert keyboard.motion(1.3).yaw_rate == 0.0
    keyboard.press("x", 1.4, Flight())
    assert keyboard.motion(1.4) == Flight()
    # From a hover it turns on the spot.
    keyboard.press("a", 1.5, Flight())
    assert keyboard.motion(1.5) == Flight((0.0, 0.0, 0.0), pytest.approx(0.05))


def test_keys_pressed_before_the_vehicle_is_known_are_no_flight_of_a_drone():
    keyboard = Keyboard(REACH)
    keyboard.press("w", 1.0, Motion())
    keyboard.press("i", 1.1, Flight((0.5, 0.0, 0.0), 0.0))
    assert keyboard.motion(1.1) == Flight((0.5, 0.0, pytest.approx(0.1)), 0.0)


def test_a_vehicle_is_given_back_by_key_or_by_leaving_the_keyboard_alone():
    keyboard = Keyboard(REACH, hold=3.0)
    keyboard.press("w", 1.0, ROLLING)
    assert keyboard.motion(4.0) == Motion(7.0, 0.03)
    assert keyboard.motion(4.1) is None
    keyboard.press("w", 5.0, Motion(1.0, 0.0))
    assert keyboard.motion(5.0) == Motion(2.0, 0.0)
    keyboard.press("g", 5.1, ROLLING)
    assert keyboard.motion(5.1) is None


@pytest.mark.parametrize(
    ("key", "wish"),
    [(" ", Wish.EMERGENCY), ("r", Wish.RELEASE), ("q", Wish.QUIT), ("end", Wish.QUIT)],
)
def test_stops_and_the_end_let_go_of_the_vehicle(key, wish):
    keyboard = Keyboard(REACH)
    keyboard.press("w", 1.0, ROLLING)
    assert keyboard.press(key, 1.1, ROLLING) is wish
    assert keyboard.motion(1.1) is None


def test_a_key_without_a_meaning_does_not_take_the_vehicle():
    keyboard = Keyboard(REACH)
    for key in ("z", "\x1b[H", "\x1a", "enter", "i", "j"):
        assert keyboard.press(key, 1.0, ROLLING) is None
        assert keyboard.motion(1.0) is None
    keyboard.press("z", 1.0, Flight())
    assert keyboard.motion(1.0) is None


@given(st.lists(st.sampled_from(["w", "s", "a", "d", "c", "x", "up", "left"])))
def test_no_keys_lead_beyond_a_persons_reach(keys):
    keyboard = Keyboard(REACH)
    for key in keys:
        keyboard.press(key, 1.0, Motion(99.0, -9.0))
        motion = keyboard.motion(1.0)
        assert -2.0 <= motion.speed <= 10.0
        assert abs(motion.curvature) <= 0.1


@given(st.lists(st.sampled_from("wsadijklcx")))
def test_no_keys_fly_a_drone_beyond_a_persons_reach(keys):
    keyboard = Keyboard(REACH)
    for key in keys:
        keyboard.press(key, 1.0, Flight((99.0, -99.0, 99.0), -9.0))
        flight = keyboard.motion(1.0)
        ahead, left, up = flight.velocity
        assert -2.0 <= ahead <= 10.0
        assert abs(left) <= 2.0
        assert abs(up) <= 1.0
        assert abs(flight.yaw_rate) <= 0.5


AXES, BUTTONS = [0.0] * 6, [0] * 8


def held(**axes: float) -> tuple[list[float], list[int]]:
    where = {"ahead": 1, "left": 3}
    values = list(AXES)
    for name, value in axes.items():
        values[where[name]] = value
    buttons = list(BUTTONS)
    buttons[4] = 1
    return values, buttons


def test_a_stick_drives_only_while_the_dead_mans_button_is_held():
    joystick = Joystick()
    axes, buttons = held(ahead=1.0, left=-1.0)
    assert joystick.read(axes, buttons, REACH).motion == Motion(10.0, -0.1)
    assert joystick.read(axes, BUTTONS, REACH).motion is None
    axes, buttons = held(ahead=-1.0)
    assert joystick.read(axes, buttons, REACH).motion == Motion(-2.0, 0.0)


def test_sticks_fly_a_drone_in_all_directions():
    axes, buttons = held(ahead=-1.0, left=1.0)
    axes[0], axes[4] = -1.0, 1.0
    flown = Joystick().read(axes, buttons, REACH, flies=True).motion
    assert flown == Flight((-2.0, -2.0, 1.0), 0.5)
    assert Joystick().read(axes, BUTTONS, REACH, flies=True).motion is None
    with pytest.raises(InputError, match="4 axes"):
        Joystick().read(axes[:4], buttons, REACH, flies=True)
    assert Joystick().read(axes[:4], buttons, REACH).motion == Motion(-2.0, 0.1)


def test_around_its_middle_a_stick_asks_for_nothing_and_beyond_begins_softly():
    joystick = Joystick(dead_band=0.1)
    assert joystick.read(*held(ahead=0.1, left=-0.1), REACH).motion == Motion(0.0, 0.0)
    soft = joystick.read(*held(ahead=0.101), REACH).motion
    assert 0.0 < soft.speed < 0.02


def test_buttons_stop_and_release():
    buttons = list(BUTTONS)
    buttons[1] = 1
    assert Joystick().read(AXES, buttons, REACH).emergency
    assert Joystick(release_button=1).read(AXES, buttons, REACH).release


@pytest.mark.parametrize(
    ("axes", "buttons"),
    [(AXES[:3], BUTTONS), (AXES, BUTTONS[:4]), ([0.0, math.nan, 0.0, 0.0], BUTTONS)],
)
def test_a_joystick_that_does_not_fit_is_refused_in_one_sentence(axes, buttons):
    with pytest.raises(InputError, match="joystick"):
        Joystick().read(axes, buttons, REACH)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the person's and the program's."""
    person, program = os.openpty()
    yield person, program
    for end in (person, program):
        os.close(end)


def test_keys_come_one_by_one_and_arrows_by_name_also_in_pieces(terminal):
    person, program = terminal
    with Keys(program) as keys:
        assert keys.read() == []
        os.write(person, b"w\x1b[A\x1bOD \r\x1b")
        assert keys.read() == ["w", "up", "left", " ", "enter"]
        os.write(person, b"[C")
        assert keys.read() == ["right"]
        os.write(person, b"\x1a\x1c\x04")
        assert keys.read()[-1] == "end"


def test_the_terminal_is_restored_also_after_an_error(terminal):
    _, program = terminal
    before = termios.tcgetattr(program)

    def fail() -> None:
        with Keys(program):
            assert termios.tcgetattr(program) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert termios.tcgetattr(program) == before


def test_an_input_that_is_no_terminal_is_refused_with_what_to_do(tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(InputError, match="joystick"):
        Keys(file.fileno()).__enter__()
