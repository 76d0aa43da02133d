"""What Driving-v1 cannot be asked for."""

import numpy as np
import pytest

from liquid_control.envs.driving import DrivingEnv
from liquid_control.errors import InputError


@pytest.fixture(scope="module")
def blind():
    """Physics alone."""
    env = DrivingEnv(camera=False)
    yield env
    env.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"season": "wintr"}, ["expected one of winter, ", "spring", "summer", "autumn"]),
        ({"seasn": "winter"}, ["no option 'seasn'; it has season, "]),
        ({"hills": 2.0}, ["from 0 to 1", "2.0"]),
        ({"hills": "high"}, ["from 0 to 1", "'high'"]),
        ({"lanes": 3}, ["expected one of 1, 2"]),
        ({"distortion": (0.1,)}, ["five numbers"]),
        ({"distortion": "abcde"}, ["five numbers", "'abcde'"]),
        ({"distortion": [np.nan] * 5}, ["five numbers", "nan"]),
        ({"effects": "fog"}, ["dictionary of camera effects", "'fog'"]),
        ({"effects": {"nose": 0.1}}, ["no camera effect 'nose'"]),
        ({"density": None}, ["from 0 to 1", "None"]),
        ({"rate": None}, ["Unknown rate None"]),
        ({"max_curvature": 0.08, "lane_width": 3.0}, ["turn", "0.06"]),
        ({"scene": "rc_track", "obstacles": "both"}, ["one lane", "'parked'"]),
        ({"vehicle": "rc"}, ["made for the vehicle 'car'"]),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_sentence(blind, options, words):
    with pytest.raises(InputError) as error:
        blind.reset(seed=0, options=options)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": "wide"}, "width is a whole number from 1 to 4096, got 'wide'"),
        ({"height": 0}, "height is a whole number"),
        ({"seconds": -1}, "seconds is a number .* got -1"),
        ({"seconds": "long"}, "seconds is a number .* got 'long'"),
        ({"cruise": 0}, "cruise is a number from 0.1 to 15, got 0"),
        ({"cruise": np.nan}, "got nan"),
        ({"cruise": 5.0, "scene": "rc_track"}, "from 0.1 to 4, got 5.0"),
    ],
)
def test_a_world_that_cannot_be_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        DrivingEnv(camera=False, **options)


def test_an_episode_may_last_without_end():
    env = DrivingEnv(camera=False, seconds=1e9)
    env.reset(seed=0)
    assert env.step(env.expert_action())[2:4] == (False, False)
    env.close()
