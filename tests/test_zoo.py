"""Every entry of the zoo: it loads, says what it is and what it scored, and drives its world."""

import csv
import json

import numpy as np
import pytest
import torch

from liquid_control import models
from liquid_control.policy import Policy
from liquid_control.rollout import PolicyPilot, make_world, run_episode

ENTRIES = sorted(path.parent for path in (models.share() / "models").glob("*/config.json"))
# The recording of a real car is no closed loop to be measured in.
DRIVERS = [folder for folder in ENTRIES if folder.name != "rc_track_ncp"]
# Of one short episode that the entry has not seen: world, seconds, and what must hold of it.
DRIVES = {
    "carracing_ncp": (
        ("liquid_control/CarRacing-v0", 8.0),
        lambda episode: episode.reward > 250 and not episode.crashed,
    ),
    "driving_ncp": (
        ("liquid_control/Driving-v0", 10.0),
        lambda episode: episode.lane_departures == 0 and not episode.crashed,
    ),
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("folder", ENTRIES, ids=lambda folder: folder.name)
def test_an_entry_loads_and_has_a_card(folder):
    policy = Policy.load(folder)
    assert (folder / "README.md").read_text().startswith(f"# {folder.name}\n")
    if "_ncp" in folder.name:
        assert (policy.wiring.units, policy.wiring.synapses) == (19, 253)
    assert all(torch.isfinite(weight).all() for weight in policy.parameters())


@pytest.mark.parametrize("folder", DRIVERS, ids=lambda folder: folder.name)
def test_the_figures_of_an_entry_are_of_its_weights(folder):
    results = json.loads((folder / "results.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    assert results["weights_sha256"] == config["weights_sha256"]
    with open(folder / "episodes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == results["episodes"]
    mean = np.mean([float(row["reward"]) for row in rows])
    assert results["figures"]["reward"]["mean"] == pytest.approx(mean)


@pytest.mark.parametrize("name", DRIVES)
def test_an_entry_drives_a_track_that_it_has_not_seen(name):
    (world, seconds), holds = DRIVES[name]
    env = make_world(world, seconds=seconds)
    episode = run_episode(env, PolicyPilot(Policy.load(models.find(name))), seed=700_000)
    env.close()
    assert holds(episode), episode
