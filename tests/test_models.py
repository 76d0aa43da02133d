"""The shipped policies: they are what their cards say, and they drive."""

import json

import pytest
import torch

from liquid_control import models
from liquid_control.data.drive import load_drives
from liquid_control.data.importers.donkeycar import import_donkeycar
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.policy import Policy
from liquid_control.rollout import PolicyPilot, make_world, run_episode
from liquid_control.training.split import split_by_time

NAMES = ("driving_ncp", "driving_v0_ncp", "rc_track_ncp")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_19_neurons_253_synapses_and_a_card(name):
    folder = models.find(name)
    policy = Policy.load(folder)
    assert (policy.wiring.units, policy.wiring.synapses) == (19, 253)
    # 79,420 for the paper's 78 x 200 px; smaller frames have smaller dense layers.
    rows, columns = (-(-length // 8) for length in policy.head.size)
    dense = 32 * (rows * columns + 1)
    assert sum(weight.numel() for weight in policy.head.parameters()) == 71_388 + dense
    assert (folder / "README.md").read_text().startswith(f"# {name}\n")
    assert json.loads((folder / "training.json").read_text())["recipe"] == name


@pytest.mark.parametrize(
    ("world", "seed"),
    [
        pytest.param("liquid_control/Driving-v0", 5000, marks=pytest.mark.slow),
        ("liquid_control/Driving-v1", 5001),
    ],
)
@pytest.mark.lengthy
def test_the_driver_keeps_its_lane_on_roads_it_has_not_seen(world, seed):
    world = make_world(world, seconds=25.0)
    episode = run_episode(world, PolicyPilot(Policy.load(models.find("driving_ncp"))), seed)
    world.close()
    assert not episode.crashed
    assert episode.lane_departures == 0
    assert episode.lateral_error < 0.3
    assert episode.distance > 200


@pytest.mark.parametrize("name", ["driving_ncp", "driving_v0_ncp"])
def test_the_measured_share_of_safe_episodes_is_what_was_promised(name):
    results = json.loads((models.find(name) / "results.json").read_text())
    assert results["episodes"] >= 40
    assert results["figures"]["seconds"]["mean"] > 115
    assert results["seed"] >= 1000, "training used the seeds below"
    assert results["crash_free"]["share"] >= 0.95
    config = json.loads((models.find(name) / "config.json").read_text())
    assert results["weights_sha256"] == config["weights_sha256"]


@pytest.mark.lengthy
def test_the_rc_driver_steers_as_the_person_did_on_the_part_held_back(tmp_path, pytestconfig):
    tub = pytestconfig.rootpath.parent / "shared" / "data" / "rc_track"
    if not tub.is_dir():
        pytest.skip("the recording of the RC track is not beside this checkout")
    import_donkeycar(tub, tmp_path / "bag")
    policy = Policy.load(models.find("rc_track_ncp"))
    drives = load_drives([tmp_path / "bag"], policy.camera, policy.spec.names)
    _, _, test = split_by_time(drives, 0.08, 0.15)
    measured = open_loop(policy, test).summary["steering"]
    card = json.loads((models.find("rc_track_ncp") / "training.json").read_text())["test"]
    assert measured["mse"] == pytest.approx(card["steering"]["mse"], rel=0.02)
    assert measured["mse"] < 0.5 * measured["mse_of_zero"]
