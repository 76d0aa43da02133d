"""The vehicles as physics: what they are told, they do; nothing throws them over."""

import dataclasses

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.envs.driving.vehicle import SPECS, VEHICLES, Flat, Physics, Vehicle, draw
from liquid_control.errors import InputError

FRAME = 1 / 30
TICK = 1 / 120


class Slope:
    """A plane."""

    def __init__(self, x, y):
        self.slopes = x, y

    def height(self, x, y):
        return self.slopes[0] * x + self.slopes[1] * y

    def gradient(self, x, y):
        return np.full_like(x, self.slopes[0]), np.full_like(x, self.slopes[1])


class Hills:
    """Waves in both directions, with slopes of up to `slope`."""

    def __init__(self, length, slope=0.1):
        self.number = 2 * np.pi / length
        self.amplitude = slope / self.number

    def height(self, x, y):
        return self.amplitude * np.sin(self.number * x) * np.cos(self.number * y)

    def gradient(self, x, y):
        k, a = self.number, self.amplitude
        return a * k * np.cos(k * x) * np.cos(k * y), -a * k * np.sin(k * x) * np.sin(k * y)


def new(name):
    model = mujoco.MjModel.from_xml_path(str(SPECS[name].mjcf))
    return Vehicle(model, mujoco.MjData(model), SPECS[name])


@pytest.fixture(scope="module", params=VEHICLES)
def vehicle(request):
    return new(request.param)


def drive(vehicle, frames, curvature, speed):
    """Poses after each of `frames` frames."""
    poses = []
    for _ in range(frames):
        vehicle.step(curvature, speed, FRAME)
        poses.append(vehicle.pose)
    return poses


def test_the_specification_is_that_of_the_model(vehicle):
    spec, data = vehicle.spec, vehicle.data
    vehicle.place(0, 0, 0, 0, Flat())
    front, rear = data.body("front_left").xpos, data.body("rear_right").xpos
    assert front[0] - rear[0] == pytest.approx(spec.wheelbase, rel=2e-3)
    assert front[1] - rear[1] == pytest.approx(2 * spec.half_track, rel=2e-3)
    assert rear[2] == pytest.approx(spec.wheel_radius, rel=0.02)
    assert vehicle.model.geom("rear_left_tyre").size[0] == spec.wheel_radius
    assert (FRAME / vehicle.model.opt.timestep) % 1 == pytest.approx(0, abs=1e-9)
    assert spec.max_wheel_angle >= np.arctan(spec.wheelbase * spec.max_curvature)


def test_the_body_fills_the_rectangle_that_is_specified_for_it(vehicle):
    spec, model, data = vehicle.spec, vehicle.model, vehicle.data
    vehicle.place(0, 0, 0, 0, Flat())
    corners = np.stack(np.meshgrid(*[[-1, 1]] * 3), -1).reshape(-1, 3)
    reach = []
    for geom in np.flatnonzero(model.geom_group == 1):
        box = model.geom_aabb[geom, :3] + corners * model.geom_aabb[geom, 3:]
        reach.append(data.geom_xpos[geom] + box @ data.geom_xmat[geom].reshape(3, 3).T)
    low, high = np.concatenate(reach).min(0), np.concatenate(reach).max(0)
    assert high[0] == pytest.approx(spec.body_middle + spec.body_length / 2, abs=0.09 * spec.scale)
    assert low[0] == pytest.approx(spec.body_middle - spec.body_length / 2, abs=0.09 * spec.scale)
    # Mirrors and hub caps stand out a little.
    assert -0.01 * spec.scale < high[1] - spec.body_half_width < 0.16 * spec.scale
    assert high[1] == pytest.approx(-low[1], abs=1e-3)


@pytest.mark.parametrize("share", [0.25, 0.6, 1.0])
@pytest.mark.parametrize("turn", [-1.0, -0.3, 0.1, 0.6])
def test_it_follows_the_curvature_and_the_speed_that_are_asked_for(vehicle, share, turn):
    spec = vehicle.spec
    speed, curvature = share * 1.8 * spec.cruise, turn * spec.max_curvature
    speed = min(speed, (3.5 / abs(curvature)) ** 0.5)  # m/s: what the tyres can hold
    vehicle.place(3, -2, 0.4, speed, Flat())
    drive(vehicle, 45, curvature, speed)
    pose = vehicle.pose
    assert pose.speed == pytest.approx(speed, rel=0.01)
    assert pose.yaw_rate / pose.speed == pytest.approx(curvature, rel=0.02)
    assert vehicle.wheel_angle == pytest.approx(np.arctan(spec.wheelbase * curvature), rel=0.02)
    assert vehicle.wheels_down == 4


def test_left_is_positive(vehicle):
    spec = vehicle.spec
    for step in (
        lambda: vehicle.step(0.5 * spec.max_curvature, spec.cruise, FRAME),
        lambda: vehicle.step_steering(0.5, 0.3, FRAME),
    ):
        vehicle.place(0, 0, 0, spec.cruise, Flat())
        for _ in range(30):
            step()
        pose = vehicle.pose
        assert min(pose.y, pose.yaw, pose.yaw_rate, vehicle.wheel_angle) > 0
        assert vehicle.wheel_angle_asked > 0
        assert pose.roll > 0  # It leans out of the curve: to the right.


def test_a_bend_driven_to_the_left_and_to_the_right_is_the_same(vehicle):
    spec, ends = vehicle.spec, []
    for side in (1, -1):
        vehicle.place(0, 0, 0, spec.cruise, Flat())
        drive(vehicle, 60, side * 0.7 * spec.max_curvature, spec.cruise)
        ends.append((vehicle.pose.x, side * vehicle.pose.y, side * vehicle.pose.yaw))
    assert np.allclose(*ends, rtol=1e-3)


@pytest.mark.parametrize("slope", [(0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.07, -0.07)])
@pytest.mark.parametrize("pedals", ["speed", "brake"])
def test_it_stands_still_on_a_slope_of_10_percent(vehicle, slope, pedals):
    vehicle.place(1.0, 2.0, 0.3, 0.0, Slope(*slope))
    before = vehicle.pose
    for _ in range(150):
        if pedals == "speed":
            vehicle.step(0.0, 0.0, FRAME)
        else:
            vehicle.step_steering(0.0, -1.0, FRAME)
    after = vehicle.pose
    moved = np.hypot(after.x - before.x, after.y - before.y)
    assert moved < 0.001 * (1 if vehicle.spec.scale == 1 else 0.3)  # in 5 s
    assert abs(after.speed) < 0.001


def test_without_brakes_it_rolls_down_a_slope(vehicle):
    vehicle.place(0, 0, 0, 0, Slope(0.1, 0))
    for _ in range(60):
        vehicle.step_steering(0, 0, FRAME)
    free = -0.0995 * 9.81 * 2
    assert free < vehicle.pose.speed < 0.55 * free


def test_it_is_placed_as_it_comes_to_rest(vehicle):
    scale = vehicle.spec.scale
    hills = Hills(80 * scale)
    vehicle.place(7 * scale, 5 * scale, 1.1, 0.0, hills)
    start = vehicle.pose
    assert (start.x, start.y) == (7 * scale, 5 * scale)
    assert start.yaw == pytest.approx(1.1, abs=1e-9)
    drive(vehicle, 60, 0.0, 0.0)
    rest = vehicle.pose
    assert np.allclose(
        [start.x, start.y, start.z, scale * start.roll, scale * start.pitch],
        [rest.x, rest.y, rest.z, scale * rest.roll, scale * rest.pitch],
        atol=1e-3 * scale,
    )
    slope_x, slope_y = hills.gradient(*np.array([[7.0, 5.0]]).T * scale)
    uphill = slope_x[0] * np.cos(1.1) + slope_y[0] * np.sin(1.1)
    assert rest.pitch == pytest.approx(-np.arctan(uphill), abs=0.02)


def test_hills_are_driven_smoothly_with_all_wheels_on_the_ground(vehicle):
    spec = vehicle.spec
    hills = Hills(75 * spec.scale)
    vehicle.place(0, 0, 0.3, spec.cruise, hills)
    poses, jolts, down = [], [], []
    for _ in range(450):
        vehicle.step(0.0, spec.cruise, FRAME)
        poses.append(vehicle.pose)
        jolts.append(abs(vehicle.data.qacc[2]))
        down.append(vehicle.wheels_down)
    heights = np.array([pose.z for pose in poses])
    ground = hills.height(*np.array([[pose.x, pose.y] for pose in poses]).T)
    assert np.ptp(heights) > 1.5 * hills.amplitude
    assert np.abs(heights - ground).max() < 0.02 * spec.scale
    # What a crest of that curvature takes at that speed, in both directions, and little more.
    assert max(jolts) < 2.5 * hills.amplitude * hills.number**2 * spec.cruise**2
    assert min(down) == 4
    assert max(abs(pose.speed - spec.cruise) for pose in poses) < 0.01 * spec.cruise


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1 + 1 / 120])
def test_the_wheels_begin_to_turn_after_the_delay_that_is_asked_for(vehicle, delay):
    vehicle.place(0, 0, 0, vehicle.spec.cruise, Flat(), Physics(delay=delay))
    asked, angles = vehicle.spec.max_curvature, []
    vehicle.step(0.0, vehicle.spec.cruise, FRAME)
    for _ in range(60):
        vehicle.step(asked, vehicle.spec.cruise, TICK)
        angles.append(vehicle.wheel_angle)
    assert vehicle.wheel_angle_asked == pytest.approx(np.arctan(vehicle.spec.wheelbase * asked))
    moved = np.flatnonzero(np.array(angles) > 1e-5)[0]
    assert moved * TICK == pytest.approx(delay, abs=1e-9)


@pytest.mark.parametrize("rate", [0.2, None])
def test_the_wheel_angle_changes_no_faster_than_its_rate(vehicle, rate):
    spec = vehicle.spec
    vehicle.place(0, 0, 0, 0.3 * spec.cruise, Flat(), Physics(steering_rate=rate))
    limit, angles = rate or spec.steering_rate, [0.0]
    for index in range(40):
        vehicle.step_steering(1.0 if index < 20 else -1.0, 0.0, FRAME)
        angles.append(vehicle.wheel_angle)
    speeds = np.abs(np.diff(angles)) / FRAME
    assert speeds.max() < 1.15 * limit
    assert speeds.max() > 0.8 * min(limit, spec.max_wheel_angle / FRAME)


def test_what_it_cannot_do_is_limited_to_what_it_can(vehicle):
    spec = vehicle.spec
    ends = []
    for curvature, speed in ((spec.max_curvature, 0.3 * spec.cruise), (1e6, 0.3 * spec.cruise)):
        vehicle.place(0, 0, 0, speed, Flat())
        ends.append(drive(vehicle, 30, curvature, speed)[-1])
    assert ends[0] == ends[1]
    vehicle.place(0, 0, 0, spec.max_speed, Flat())
    assert drive(vehicle, 30, 0, 1e6)[-1].speed == pytest.approx(spec.max_speed, rel=0.01)
    for _ in range(30):
        vehicle.step_steering(5.0, -1, FRAME)
    assert vehicle.wheel_angle == pytest.approx(spec.max_wheel_angle, rel=0.02)


def test_the_target_speed_is_approached_with_bounded_acceleration(vehicle):
    spec = vehicle.spec
    vehicle.place(0, 0, 0, 0, Flat())
    up = np.array([pose.speed for pose in drive(vehicle, 150, 0, spec.cruise)])
    down = np.array([pose.speed for pose in drive(vehicle, 100, 0, 0)])
    assert up[-1] == pytest.approx(spec.cruise, rel=0.01)
    assert np.diff(up).max() / FRAME < 1.2 * spec.max_acceleration
    assert -np.diff(down).min() / FRAME < 1.2 * spec.max_deceleration
    assert abs(down[-1]) < 1e-3


def test_full_throttle_reaches_the_highest_speed_and_no_more(vehicle):
    spec = vehicle.spec
    vehicle.place(0, 0, 0, 0, Flat())
    speeds = []
    for _ in range(900):
        vehicle.step_steering(0, 1, FRAME)
        speeds.append(vehicle.pose.speed)
    assert speeds[2] == pytest.approx(0.1 * spec.full_throttle, rel=0.3)
    assert speeds[-1] == pytest.approx(spec.max_speed, rel=0.02)
    assert max(speeds) <= 1.01 * spec.max_speed


def test_more_throttle_is_faster_and_rolling_loses_speed(vehicle):
    spec, ends = vehicle.spec, []
    for throttle in (-1.0, -0.4, 0.0, 0.3, 0.6, 1.0):
        vehicle.place(0, 0, 0, spec.cruise, Flat())
        for _ in range(60):
            vehicle.step_steering(0, throttle, FRAME)
        ends.append(vehicle.pose.speed)
    assert ends[0] == pytest.approx(0, abs=1e-3)
    assert sorted(ends) == ends
    assert 0 < ends[2] < spec.cruise


def test_brakes_never_push(vehicle):
    vehicle.place(0, 0, 0, vehicle.spec.cruise, Flat())
    for _ in range(200):
        vehicle.step_steering(0.2, -1, FRAME)
        assert vehicle.pose.speed > -1e-3


def test_the_throttle_for_a_speed_reaches_it_uphill_and_downhill(vehicle):
    spec = vehicle.spec
    for slope in (-0.08, 0.0, 0.08):
        vehicle.place(0, 0, 0, 0.5 * spec.cruise, Slope(slope, 0))
        for _ in range(150):
            vehicle.step_steering(0, vehicle.throttle_for(spec.cruise), FRAME)
        assert vehicle.pose.speed == pytest.approx(spec.cruise, rel=0.03)


def test_a_slippery_road_takes_longer_to_stop_on_and_is_left_in_curves(vehicle):
    spec, lengths, errors = vehicle.spec, [], []
    for friction in (1.0, 0.15):
        vehicle.place(0, 0, 0, spec.cruise, Flat(), Physics(friction=friction))
        for _ in range(150):
            vehicle.step_steering(0, -1, FRAME)
        lengths.append(vehicle.pose.x)
        curvature = min(spec.max_curvature, 4.0 / spec.cruise**2)
        vehicle.place(0, 0, 0, spec.cruise, Flat(), Physics(friction=friction))
        drive(vehicle, 60, curvature, spec.cruise)
        errors.append(1 - vehicle.pose.yaw_rate / vehicle.pose.speed / curvature)
    assert lengths[1] > 2 * lengths[0]
    assert abs(errors[0]) < 0.02
    assert abs(errors[1]) > 0.1


def test_other_physics_are_felt(vehicle):
    spec = vehicle.spec

    def end(**physics):
        vehicle.place(0, 0, 0, spec.cruise, Flat(), Physics(**physics))
        return drive(vehicle, 60, 0, spec.cruise)[-1]

    assert end(steering_bias=0.01).yaw > 0.01 > abs(end().yaw)
    assert end(speed_gain=1.1).speed == pytest.approx(1.1 * spec.cruise, rel=0.01)
    vehicle.place(0, 0, 0, 0, Flat(), Physics(mass=1.2))
    sunk = vehicle.pose.z
    vehicle.place(0, 0, 0, 0, Flat())
    assert sunk < vehicle.pose.z - 0.005 * spec.scale


def test_a_drive_repeats_to_the_bit_whatever_was_driven_before(vehicle):
    spec = vehicle.spec

    def run(which):
        rng = np.random.default_rng(4)
        hills = Hills(60 * spec.scale)
        which.place(1, 2, 0.5, spec.cruise, hills, draw(rng, 1.0))
        states = []
        for index in range(60):
            if index < 40:
                which.step(rng.normal() * spec.max_curvature, spec.cruise, FRAME)
            else:
                which.step_steering(rng.uniform(-1, 1), rng.uniform(-1, 1), FRAME)
            states.append(np.concatenate([which.data.qpos, which.data.qvel]))
        return np.array(states), which.pose

    states, pose = run(vehicle)
    vehicle.place(0, 0, 3, 0, Flat(), Physics(friction=0.4, mass=1.1, delay=0.1))
    vehicle.step_steering(1, 1, 0.5)
    for other in (vehicle, new(spec.name)):
        again, pose_again = run(other)
        assert np.array_equal(states, again)
        assert pose == pose_again


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    amount=st.floats(0, 1),
    name=st.sampled_from(VEHICLES),
    commands=st.lists(
        st.tuples(st.booleans(), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
        min_size=1,
        max_size=12,
    ),
)
def test_no_command_turns_it_over(seed, amount, name, commands):
    if name not in WILD:
        WILD[name] = new(name)
    vehicle = WILD[name]
    spec = vehicle.spec
    physics = draw(np.random.default_rng(seed), amount)
    vehicle.place(0, 0, 0, spec.max_speed, Hills(100 * spec.scale), physics)
    for by_steering, first, second in commands:
        step = vehicle.step_steering if by_steering else vehicle.step
        step(first, second, 10 * FRAME)
        pose = vehicle.pose
        assert all(np.isfinite(dataclasses.astuple(pose)))
        assert abs(pose.roll) < 0.5
        assert abs(pose.pitch) < 0.5
        assert abs(pose.speed) < 1.3 * spec.max_speed


WILD: dict = {}


def test_physics_are_drawn_around_the_nominal_vehicle():
    assert draw(np.random.default_rng(0), 0.0) == Physics()
    drawn = [draw(np.random.default_rng(seed), 1.0) for seed in range(200)]
    frictions = np.array([physics.friction for physics in drawn])
    assert 0.5 <= frictions.min() < 0.55 < 1.05 < frictions.max() <= 1.1
    assert all(0 <= physics.delay <= 0.12 for physics in drawn)
    rng, other = np.random.default_rng(1), np.random.default_rng(1)
    draw(rng, 0.0)
    draw(other, 1.0)
    assert rng.uniform() == other.uniform()


@pytest.mark.parametrize(
    "fields",
    [{"friction": 0.0}, {"mass": -1.0}, {"delay": np.nan}, {"steering_rate": 0.0}, {"delay": 9.0}],
)
def test_impossible_physics_are_refused(fields):
    (name,) = fields
    with pytest.raises(InputError, match=name):
        Physics(**fields)


def test_a_share_of_randomness_outside_0_to_1_is_refused():
    with pytest.raises(InputError, match="from 0 to 1"):
        draw(np.random.default_rng(0), 1.5)


def test_a_vehicle_that_was_not_placed_says_so():
    with pytest.raises(ValueError, match="place"):
        new("rc").step(0, 1, FRAME)
