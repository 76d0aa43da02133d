"""The flight controller and the physics below it, without a scene."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.command import VX, VY, VZ, YAW_RATE
from liquid_control.envs.drone.quadrotor import KINDS, Quadrotor

OUTPUTS = (VX, VY, VZ, YAW_RATE)
DRONES = {}


def drone(kind) -> Quadrotor:
    """A drone high above the ground, in calm air."""
    if kind not in DRONES:
        DRONES[kind] = Quadrotor.alone(kind)
    DRONES[kind].disturb(np.random.default_rng(0))
    DRONES[kind].place(0.0, 0.0, 200.0, 0.4)
    return DRONES[kind]


def answer(kind, command, seconds=4.0):
    """vx, vy, vz, yaw rate (frames, 4) while a command is held."""
    craft, rows = drone(kind), []
    for _ in range(round(seconds * 30)):
        craft.step(tuple(command), 1 / 30)
        pose = craft.pose
        rows.append((pose.vx, pose.vy, pose.vz, pose.yaw_rate))
    return np.array(rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("axis", "value", "rise"),
    [(0, 2.0, 0.8), (0, -4.0, 1.8), (1, 3.0, 1.6), (2, 1.5, 0.9), (2, -2.0, 1.0), (3, 1.0, 0.4)],
)
def test_a_step_is_followed_soon_without_overshoot_or_error(kind, axis, value, rise):
    command = np.zeros(4)
    command[axis] = value
    share = answer(kind, command)[:, axis] / value
    assert np.argmax(share > 0.9) / 30 <= rise
    assert share.max() < 1.10
    assert abs(share[-1] - 1) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_one_axis_moves_the_others_little(kind):
    rows = answer(kind, (2.0, 0.0, 0.0, 0.0))
    assert np.abs(rows[:, 1]).max() < 0.05
    assert np.abs(rows[:, 2]).max() < 0.2
    assert np.abs(rows[:, 3]).max() < 0.05


def test_hovering_takes_a_quarter_of_the_weight_from_each_rotor():
    craft = drone("x2")
    for _ in range(60):
        craft.step((0.0, 0.0, 0.0, 0.0), 1 / 30)
    assert craft.data.actuator_force == pytest.approx(3.25, abs=0.01)
    assert craft.pose.speed < 0.01


def test_motors_lag_behind_what_they_are_asked_for():
    craft = drone("x2")
    craft.step((0.0, 0.0, 2.0, 0.0), 1 / 240)
    asked, given = craft.data.ctrl.mean(), craft.data.act.mean()
    # One step of 1/240 s of a lag of 25 ms: 15 %.
    assert (given - 3.25) / (asked - 3.25) == pytest.approx(1 - np.exp(-1 / 6), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None)
@given(
    commands=st.lists(
        st.tuples(
            *(
                st.one_of(
                    st.sampled_from([output.low, 0.0, output.high]),
                    st.floats(output.low, output.high),
                )
                for output in OUTPUTS
            )
        ),
        min_size=20,
        max_size=60,
    ),
    hold=st.integers(1, 30),
)
def test_no_command_makes_it_flip(kind, commands, hold):
    """20 s of commands up to the limits, each held for up to a second."""
    craft = drone(kind)
    for frame in range(600):
        craft.step(commands[frame // hold % len(commands)], 1 / 30)
        pose = craft.pose
        tilt = np.arccos(np.clip(np.cos(pose.roll) * np.cos(pose.pitch), -1, 1))
        assert np.rad2deg(tilt) < 55
    assert pose.speed < 8


@pytest.mark.parametrize("kind", KINDS)
def test_wind_gusts_and_motor_noise_push_it_but_it_holds_on(kind):
    craft = drone(kind)
    craft.disturb(np.random.default_rng(5), wind=5.0, gusts=1.5, motor_noise=0.08)
    rows = []
    for _ in range(450):
        craft.step((1.0, 0.0, 0.0, 0.0), 1 / 30)
        pose = craft.pose
        rows.append((pose.vx, pose.vy, pose.vz, pose.yaw_rate))
    steady = np.array(rows[150:])
    assert steady.mean(0) == pytest.approx([1, 0, 0, 0], abs=0.1)
    assert 0.01 < steady[:, 0].std() < 0.4


def test_drag_slows_a_drone_that_falls_silent():
    craft = drone("x2")
    craft.data.qvel[0] = 8.0
    before = craft.data.qvel[0]
    craft.step((0.0, 0.0, 0.0, 0.0), 1 / 240)
    # (0.12 + 0.035 v) v / m, and the thrust has not tilted yet.
    expected = (0.12 + 0.035 * 8.0) * 8.0 / 1.325 / 240
    assert before - craft.data.qvel[0] == pytest.approx(expected, rel=0.05)


def test_the_disturbances_come_from_the_seed():
    tracks = []
    for seed in (1, 1, 2):
        craft = drone("x2")
        craft.disturb(np.random.default_rng(seed), wind=3.0, gusts=1.0, motor_noise=0.1)
        for _ in range(30):
            craft.step((0.0, 0.0, 0.0, 0.0), 1 / 30)
        tracks.append(craft.data.qpos.tolist())
    assert tracks[0] == tracks[1]
    assert tracks[0] != tracks[2]


@pytest.mark.parametrize("kind", KINDS)
def test_it_rights_itself_from_any_lean(kind):
    craft = drone(kind)
    for roll in (-2.5, -1.2, 1.2, 2.5):
        craft.place(0.0, 0.0, 200.0, 0.0)
        craft.data.qpos[3:7] = np.cos(roll / 2), np.sin(roll / 2), 0.0, 0.0
        for _ in range(90):
            craft.step((0.0, 0.0, 0.0, 0.0), 1 / 30)
        pose = craft.pose
        assert abs(pose.roll) < 0.2
        assert pose.speed < 1.5
