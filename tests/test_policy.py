"""A policy turns frames into commands, survives its files, and its decisions can be recomputed."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from liquid_control.camera import CameraSetup
from liquid_control.circuits import flagship_wiring, ncp
from liquid_control.command import CURVATURE, SPEED, STEERING, CommandSpec, Output
from liquid_control.errors import InputError
from liquid_control.policy import Driver, Policy, frame_hash, recompute

SPEC = CommandSpec((CURVATURE, SPEED))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def policy():
    torch.manual_seed(0)
    return Policy(SPEC)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (12, 78, 200, 3), dtype=np.uint8)


def saved(policy, folder):
    policy.save(folder)
    return folder


def same(first, second):
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_policy_is_head_circuit_and_nothing_else(policy):
    assert sum(p.numel() for p in policy.parameters()) == 79_420 + 253 * 4 + 19 * 3 + 64 + 4
    assert policy.wiring == flagship_wiring(2)


def test_a_policy_may_see_smaller_frames(tmp_path):
    torch.manual_seed(0)
    small = Policy(SPEC, CameraSetup(64, 48))
    assert sum(p.numel() for p in small.head.parameters()) == 71_388 + 8 * (8 * 6 * 4 + 4)
    driver = Driver(Policy.load(saved(small, tmp_path)))
    frames = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    commands, _ = small(
        torch.from_numpy(np.stack([small.camera.apply(frame) for frame in frames]))[None], None, 0.1
    )
    driven = [driver.step(frame, 0.1).command for frame in frames]
    assert np.allclose(driven, small.spec.clip(commands[0].detach().numpy()), atol=1e-6)
    assert driver.attention().shape == (64, 48)


def test_a_fresh_policy_hardly_commands(policy, frames):
    commands, state = policy(torch.from_numpy(frames)[None], None, 1 / 30)
    assert commands.shape == (1, 12, 2)
    assert state.shape == (1, 19)
    assert (commands.abs() < 0.5 * torch.from_numpy(SPEC.high)).all()


def test_commands_are_scaled_to_their_limits_and_not_clipped(policy):
    with torch.no_grad():
        policy.circuit.output_weight.zero_()
        policy.circuit.output_bias.copy_(torch.tensor([1.0, -2.0]))
        commands, _ = policy.forward_features(torch.rand(1, 3, 32), None, 0.1)
    torch.testing.assert_close(commands[0, 0], torch.tensor([0.06, -30.0]))


def test_forward_is_features_then_circuit_and_carries_its_state(policy, frames):
    batch = torch.from_numpy(frames.reshape(2, 6, 78, 200, 3))
    elapsed = torch.rand(2, 6)
    with torch.no_grad():
        whole, last = policy(batch, None, elapsed)
        features = policy.features(batch)
        assert features.shape == (2, 6, 32)
        head, state = policy.forward_features(features[:, :2], None, elapsed[:, :2])
        tail, state = policy.forward_features(features[:, 2:], state, elapsed[:, 2:])
    torch.testing.assert_close(torch.cat((head, tail), 1), whole)
    torch.testing.assert_close(state, last)


def test_under_autocast_the_circuit_stays_exact_and_every_parameter_learns(policy, frames):
    batch = torch.from_numpy(frames[None])
    with torch.autocast("cpu", torch.bfloat16):
        commands, state = policy(batch, None, 1 / 30)
    assert commands.dtype == state.dtype == torch.float32
    (commands / torch.from_numpy(SPEC.high)).square().sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_saving_and_loading_gives_the_same_policy(policy, tmp_path):
    policy.camera = CameraSetup(top=0.25, bottom=0.9)
    policy.save(tmp_path / "new" / "model", {"seed": 3})
    loaded = Policy.load(tmp_path / "new" / "model")
    assert same(policy, loaded)
    assert (loaded.spec, loaded.camera, loaded.wiring) == (SPEC, policy.camera, policy.wiring)
    assert loaded.extra == {"seed": 3}
    assert not loaded.training


def test_another_wiring_is_saved_with_the_policy(tmp_path):
    wiring = ncp(inter=18, command=12, motor=4, recurrent=4, seed=7)
    names = ("vx", "vy", "vz", "yaw_rate")
    policy = Policy(CommandSpec(tuple(Output(n, "1", -1, 1) for n in names)), wiring=wiring)
    assert Policy.load(saved(policy, tmp_path)).wiring == wiring


def test_saving_again_replaces_the_model_and_leaves_other_files(policy, tmp_path):
    (tmp_path / "README.md").write_text("card")
    policy.save(tmp_path)
    with torch.no_grad():
        policy.circuit.output_bias.fill_(0.5)
    policy.save(tmp_path)
    assert same(policy, Policy.load(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_a_save_that_fails_leaves_the_old_model(policy, tmp_path, monkeypatch):
    policy.save(tmp_path)
    before = Policy.load(tmp_path)

    def disk_full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with torch.no_grad():
        policy.circuit.output_bias.fill_(0.5)
    with pytest.raises(OSError, match="No space"):
        policy.save(tmp_path)
    assert same(before, Policy.load(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_written_as_json_is_refused_before_anything_is_touched(policy, tmp_path):
    policy.save(tmp_path)
    with torch.no_grad():
        policy.circuit.output_bias.fill_(0.5)
    with pytest.raises(TypeError):
        policy.save(tmp_path, {"score": np.float32(1)})
    Policy.load(tmp_path)


def test_a_folder_that_is_no_policy_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected a readable config\.json"):
        Policy.load(tmp_path)


def test_missing_weights_are_named(policy, tmp_path):
    (saved(policy, tmp_path) / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no readable model\.safetensors"):
        Policy.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 500, 100_000, -1])
def test_truncated_weights_are_refused(policy, tmp_path, keep):
    path = saved(policy, tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="truncated"):
        Policy.load(tmp_path)


def test_weights_of_another_training_are_refused(policy, tmp_path):
    saved(policy, tmp_path / "one")
    saved(Policy(SPEC), tmp_path / "other")
    weights = (tmp_path / "other" / "model.safetensors").read_bytes()
    (tmp_path / "one" / "model.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match="of another training"):
        Policy.load(tmp_path / "one")


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rehash(folder):
    content = (folder / "model.safetensors").read_bytes()
    change_config(folder, weights_sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda weights: weights.pop("head.dense_bias"), "head.dense_bias"),
        (lambda weights: weights.update(other=torch.zeros(2)), "other"),
        (lambda weights: weights.update({"head.dense_bias": torch.zeros(3)}), "head.dense_bias"),
    ],
)
def test_weights_that_do_not_fit_are_named(policy, tmp_path, spoil, name):
    path = saved(policy, tmp_path) / "model.safetensors"
    weights = load_file(path)
    spoil(weights)
    save_file(weights, path)
    rehash(tmp_path)
    with pytest.raises(InputError, match=f"'{name}' should have shape"):
        Policy.load(tmp_path)


def test_a_file_of_another_format_is_refused_even_with_its_hash(policy, tmp_path):
    (saved(policy, tmp_path) / "model.safetensors").write_bytes(b"\x80\x04pickle")
    rehash(tmp_path)
    with pytest.raises(InputError, match="not a safetensors file"):
        Policy.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "version 2, this package reads 1"),
        ({"format": "other"}, "describes no policy"),
        ({"command": {"outputs": [{"name": "curvature"}]}}, "name, unit, low and high"),
        ({"command": SPEC.to_dict()["outputs"]}, "name, unit, low and high"),
        ({"command": CommandSpec((STEERING,)).to_dict()}, "1 motor neurons, got 32 and 2"),
        ({"wiring": {"inputs": 32}}, "A wiring needs inputs"),
        ({"wiring": ncp(31, motor=2).to_dict()}, "32 inputs"),
        ({"camera": {"zoom": 2}}, "zoom"),
        ({"camera": {"height": 66}}, "should have shape"),
        ({"circuit": {"cell": "CfC", "unfolds": 6}}, "'CfC'"),
        ({"circuit": {"cell": "LTC", "unfolds": 0}}, "0 unfolds"),
        ({"circuit": {}}, "cell"),
        ({"wiring": ncp(motor=2).to_dict()}, "should have shape"),
    ],
)
def test_a_spoilt_configuration_is_refused_with_a_sentence(policy, tmp_path, changes, words):
    change_config(saved(policy, tmp_path), **changes)
    with pytest.raises(InputError, match=words):
        Policy.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_configuration_that_is_no_json_object_is_refused(policy, tmp_path, content):
    (saved(policy, tmp_path) / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json"):
        Policy.load(tmp_path)


def test_five_outputs_need_a_wiring_of_their_own():
    spec = CommandSpec(tuple(Output(str(i), "1", -1, 1) for i in range(5)))
    with pytest.raises(InputError, match="1 to 4 outputs, got 5"):
        Policy(spec)


def test_a_driver_gives_what_the_policy_gives(policy, frames):
    elapsed = np.random.default_rng(1).uniform(0.01, 0.1, 12)
    with torch.no_grad():
        commands, state = policy(
            torch.from_numpy(frames[None]), None, torch.from_numpy(elapsed[None])
        )
    driver = Driver(policy)
    decisions = [driver.step(*given) for given in zip(frames, elapsed, strict=True)]
    expected = SPEC.clip(commands[0].numpy())
    np.testing.assert_allclose([d.command for d in decisions], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decisions[-1].state, state[0], rtol=1e-4, atol=1e-5)


def test_a_decision_holds_what_it_promises(policy, frames):
    driver = Driver(policy)
    first, second = driver.step(frames[0], 0.05), driver.step(frames[1], 0.03)
    assert (first.reset, second.reset) == (True, False)
    assert not first.state_before.any()
    assert np.array_equal(second.state_before, first.state)
    assert (first.elapsed, second.elapsed) == (0.05, 0.03)
    for decision in (first, second):
        for field, size in (("command", 2), ("state_before", 19), ("state", 19)):
            value = getattr(decision, field)
            assert (value.dtype, value.shape) == (np.float32, (size,))
        assert decision.time_constants.shape == (19,)
        assert (decision.time_constants > 0).all()
        assert len(bytes.fromhex(decision.frame_hash)) == 8
    assert first.frame_hash == frame_hash(frames[0]) != second.frame_hash


def test_recorded_decisions_recompute_to_the_bit_and_others_are_found_out(policy, frames, tmp_path):
    driver = Driver(policy)
    decisions = [driver.step(frame, 0.02 + 0.01 * i) for i, frame in enumerate(frames)]
    loaded = Policy.load(saved(policy, tmp_path))
    for frame, decision in zip(frames, decisions, strict=True):
        assert np.array_equal(recompute(loaded, frame, decision), decision.command)
    with pytest.raises(InputError, match="pair decisions and frames"):
        recompute(loaded, frames[1], decisions[2])
    forged = dataclasses.replace(decisions[5], state_before=decisions[3].state_before)
    assert not np.array_equal(recompute(loaded, frames[5], forged), decisions[5].command)


def test_two_drivers_of_one_policy_do_not_disturb_one_another(policy, frames):
    alone = Driver(policy)
    expected = [alone.step(frame, 0.03).command for frame in frames]
    one, other = Driver(policy), Driver(policy)
    for frame, command in zip(frames, expected, strict=True):
        assert np.array_equal(one.step(frame, 0.03).command, command)
        other.step(255 - frame, 0.05)


def test_a_reset_forgets_the_past_and_reads_new_weights(policy, frames):
    driver = Driver(policy)
    first = driver.step(frames[0], 0.03)
    driver.step(frames[1], 0.03)
    driver.reset()
    again = driver.step(frames[0], 0.03)
    assert again.reset
    assert np.array_equal(again.command, first.command)
    with torch.no_grad():
        for parameter in policy.circuit.parameters():
            parameter.add_(0.1)
    driver.reset()
    changed, fresh = driver.step(frames[0], 0.03), Driver(policy).step(frames[0], 0.03)
    assert not np.array_equal(changed.command, first.command)
    assert np.array_equal(changed.command, fresh.command)


def test_commands_are_clipped_and_a_nan_is_left_for_safety_to_refuse(policy, frames):
    policy.circuit.output_bias.data = torch.tensor([9.0, float("nan")])
    command = Driver(policy).step(frames[0], 0.03).command
    assert command[0] == np.float32(0.06)
    assert np.isnan(command[1])


def test_images_of_other_sizes_and_read_only_ones_are_taken(policy):
    policy.camera = CameraSetup(top=0.5)
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    received = np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
    decision = Driver(policy).step(received, 0.03)
    assert decision.frame_hash == frame_hash(policy.camera.apply(image))
    assert np.array_equal(recompute(policy, image, decision), decision.command)


@pytest.mark.parametrize(
    ("frame", "elapsed", "error"),
    [
        (np.zeros((78, 200), np.uint8), 0.03, InputError),
        (np.zeros((78, 200, 3), np.float32), 0.03, InputError),
        (np.zeros((78, 200, 3), np.uint8), -0.03, ValueError),
        (np.zeros((78, 200, 3), np.uint8), float("nan"), ValueError),
    ],
)
def test_a_refused_frame_leaves_the_driver_as_it_was(policy, frames, frame, elapsed, error):
    driver, undisturbed = Driver(policy), Driver(policy)
    for each in (driver, undisturbed):
        each.step(frames[0], 0.03)
    with pytest.raises(error):
        driver.step(frame, elapsed)
    after, expected = driver.step(frames[1], 0.03), undisturbed.step(frames[1], 0.03)
    assert np.array_equal(after.command, expected.command)
    assert np.array_equal(after.state_before, expected.state_before)


def test_what_a_driver_hands_out_does_not_change_later(policy, frames):
    driver = Driver(policy)
    first = driver.step(frames[0], 0.03)
    attention = driver.attention()
    kept = [value.copy() for value in (first.command, first.state, attention)]
    driver.step(frames[1], 0.03)
    driver.attention()
    for value, copy in zip((first.command, first.state, attention), kept, strict=True):
        assert np.array_equal(value, copy)


def test_attention_is_a_map_of_the_last_frame(policy, frames):
    driver = Driver(policy)
    with pytest.raises(RuntimeError, match="call step"):
        driver.attention()
    driver.step(frames[0], 0.03)
    attention = driver.attention()
    assert (attention.shape, attention.dtype) == ((78, 200), np.float32)
    assert (attention.min(), attention.max()) == (0, 1)
    driver.step(frames[1], 0.03)
    assert not np.array_equal(driver.attention(), attention)


def test_a_driver_drives_without_autograd(policy, frames):
    driver = Driver(policy)
    driver.step(frames[0], 0.03)
    assert not driver._state.requires_grad
    assert all(p.grad is None for p in policy.parameters())
