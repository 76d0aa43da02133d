"""A policy as C computes what it computes in torch, and refuses what it cannot take."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control import models
from liquid_control.camera import CameraSetup
from liquid_control.circuits import CTRNN, GRUD, LTC, ODERNN, CfC, flagship_wiring
from liquid_control.command import CURVATURE, YAW_RATE, CommandSpec
from liquid_control.deploy.c_build import WARNINGS, build, compiler
from liquid_control.deploy.c_driver import CDriver
from liquid_control.deploy.c_export import export_c, sources
from liquid_control.deploy.c_files import read_export
from liquid_control.deploy.command import export
from liquid_control.deploy.runtime import load_driver
from liquid_control.errors import InputError
from liquid_control.policy import Driver, Policy
from liquid_control.rollout.bundle import model_bundle
from liquid_control.training.networks import make_policy

SPEC = CommandSpec((CURVATURE, YAW_RATE))
# Of full command. Measured over 10^5 random steps: at most 7.4e-7 (shipped models).
TOLERANCE = 2e-6
NULL, ELAPSED, INPUT, RESULT = 1, 2, 3, 4

pytestmark = pytest.mark.skipif(
    not (shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")),
    reason="no C compiler is installed",
)


@pytest.fixture(scope="module")
def flagship(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped driver as C without a head."""
    folder = tmp_path_factory.mktemp("flagship")
    export_c(models.find("driving_ncp"), folder)
    return folder


@pytest.fixture(scope="module")
def library(flagship: Path) -> ctypes.CDLL:
    CDriver(flagship)
    (file,) = flagship.glob("*.so")
    return ctypes.CDLL(str(file))


def drive(count: int, features: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random features, and elapsed times of which some are 0."""
    rng = np.random.default_rng(seed)
    elapsed = rng.exponential(1 / 30, count).astype(np.float32)
    elapsed[rng.random(count) < 0.05] = 0
    return rng.uniform(0, 2, (count, features)).astype(np.float32), elapsed


def in_torch(policy: Policy, features: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        given = torch.from_numpy(features)[None], None, torch.from_numpy(elapsed)[None]
        return policy.spec.clip(policy.forward_features(*given)[0][0].numpy())


def worst(folder: Path, output: Path, count: int) -> float:
    """Largest difference between torch and C over a random drive, as a share of full command."""
    policy = Policy.load(folder)
    if not output.exists():
        export_c(folder, output, prefix="model")
    driver = CDriver(output)
    features, elapsed = drive(count, policy.circuit.inputs)
    wanted = in_torch(policy, features, elapsed)
    came = np.stack([driver.act(*each) for each in zip(features, elapsed, strict=True)])
    assert (wanted.std(0) > 1e-3 * policy.spec.high).all(), "an output that never changes"
    return float((np.abs(came - wanted) / policy.spec.high).max())


def test_the_flagship_gives_the_commands_of_torch(flagship):
    assert worst(models.find("driving_ncp"), flagship, 400) < TOLERANCE


def circuits() -> dict:
    wiring = flagship_wiring(len(SPEC))
    return {
        "no gate": CfC(wiring, mode="no_gate"),
        "pure": CfC(wiring, mode="pure", mixed_memory=True),
        "mixed LTC": LTC(32, wiring, mixed_memory=True, unfolds=3),
        "plain LTC": LTC(32, wiring, input_mapping=None, output_mapping=None),
        "deep": CfC(32, 9, 2, backbone_units=17, backbone_layers=3, activation="gelu"),
        "silu": CfC(32, 9, 2, backbone_units=16, activation="silu", mode="pure"),
        "relu": CfC(32, 9, 2, backbone_units=16, backbone_layers=2, activation="relu"),
        "without backbone": CfC(32, 9, 2, backbone_layers=0, mode="no_gate"),
        "GRU-D": GRUD(32, 12, 2),
        "read directly": CTRNN(32, 2, time_constant=0.2),
    }


@pytest.mark.parametrize(
    "name",
    [
        "ncp-cfc-mixed",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                *("ncp-ltc", "ncp-cfc", "cfc-64", "cfc-mixed-64", "lstm-64", "gru-64"),
                *("ctrnn-64", *circuits()),
            )
        ),
    ],
)
def test_every_circuit_gives_the_commands_of_torch(name, tmp_path):
    torch.manual_seed(3)
    own = circuits()
    policy = (
        Policy(SPEC, circuit=own[name], tick=1 / 30) if name in own else make_policy(name, SPEC)
    )
    policy.save(tmp_path / "model")
    assert worst(tmp_path / "model", tmp_path / "c", 300) < TOLERANCE


def test_what_c_has_no_code_for_is_refused_in_one_sentence(tmp_path):
    euler = Policy(SPEC, circuit=LTC(32, flagship_wiring(2), solver="euler"))
    ode = Policy(SPEC, circuit=ODERNN(32, 8, 2, solver="rk4"))
    for policy, words in ((euler, "solver 'fused'"), (ode, "ODERNN"), (cnn(), "FeedForward")):
        with pytest.raises(InputError, match=words):
            sources(policy, "model")
    with pytest.raises(InputError, match="--calibrate BAG"):
        export_c(models.find("driving_ncp"), tmp_path, "int8")
    with pytest.raises(InputError, match="starts with a letter"):
        export_c(models.find("driving_ncp"), tmp_path, prefix="2nd")
    with pytest.raises(InputError, match="none, float, int8"):
        export_c(models.find("driving_ncp"), tmp_path, "double")
    assert not list(tmp_path.iterdir())


def cnn() -> Policy:
    return make_policy("cnn", SPEC)


def test_the_same_model_gives_the_same_bytes():
    policy = Policy.load(models.find("drone_ncp"))
    assert sources(policy, "drone") == sources(policy, "drone")


def arguments() -> list[np.ndarray]:
    state = np.full(19, 0.25, np.float32)
    return [state, np.full(32, 0.5, np.float32), np.full(1, 7, np.float32)]


def call(library: ctypes.CDLL, state, features, command, elapsed: float) -> int:
    pointers = [
        None if each is None else each.ctypes.data_as(ctypes.c_void_p)
        for each in (state, features, command)
    ]
    elapsed = ctypes.c_float(elapsed)
    return library.driving_ncp_step(pointers[0], pointers[1], elapsed, pointers[2])


@pytest.mark.parametrize("elapsed", [-1e-9, float("nan"), float("inf"), -float("inf")])
def test_a_bad_elapsed_time_is_an_error_that_changes_nothing(library, elapsed):
    state, features, command = arguments()
    assert call(library, state, features, command, elapsed) == ELAPSED
    assert (state == 0.25).all()
    assert command[0] == 7


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_feature_that_is_not_finite_is_an_error_that_changes_nothing(library, value):
    state, features, command = arguments()
    features[31] = value
    assert call(library, state, features, command, 0.03) == INPUT
    assert (state == 0.25).all()
    assert command[0] == 7


def test_a_null_pointer_and_a_state_never_reset_are_errors(library):
    state, features, command = arguments()
    for missing in range(3):
        given = [None if i == missing else a for i, a in enumerate((state, features, command))]
        assert call(library, *given, 0.03) == NULL
    assert library.driving_ncp_reset(None) == NULL
    assert call(library, np.full(19, np.nan, np.float32), features, command, 0.03) == RESULT
    assert command[0] == 7


def test_no_time_leaves_the_state_to_the_bit_and_any_time_is_stable(library):
    state, features, command = arguments()
    assert call(library, state, features, command, 0.0) == 0
    assert (state == 0.25).all()
    assert command[0] != 7


def test_neurons_stay_within_their_bounds_for_any_time(library):
    state, features, command = arguments()
    place = state.ctypes.data_as(ctypes.c_void_p)
    state[:] = 0
    for elapsed in (1e-30, 1e-6, 3600.0, 1e30):
        assert call(library, state, features, command, elapsed) == 0
        assert library.driving_ncp_outside(place) == -1
    state[4] = 50
    assert library.driving_ncp_outside(place) == 4


def test_commands_stay_within_their_limits(flagship):
    driver = CDriver(flagship)
    driver.restore(np.full(19, 30.0, np.float32))
    assert driver.act(np.ones(32), 0.0) in (driver.spec.low, driver.spec.high)


def test_names_units_limits_and_hash_are_in_the_code(library, flagship):
    text = (flagship / "driving_ncp.c").read_text()
    spec = Policy.load(models.find("driving_ncp")).spec
    name = (ctypes.c_char_p * 1).in_dll(library, "driving_ncp_output_names")[0]
    unit = (ctypes.c_char_p * 1).in_dll(library, "driving_ncp_output_units")[0]
    high = ctypes.c_float.in_dll(library, "driving_ncp_output_high").value
    assert (name.decode(), unit.decode()) == (spec.outputs[0].name, spec.outputs[0].unit)
    assert np.float32(high) == spec.high[0]
    hash_ = (ctypes.c_char * 65).in_dll(library, "driving_ncp_model_hash").value.decode()
    assert hash_ == read_export(flagship).weights_sha256
    assert hash_ in text
    assert "malloc" not in text
    assert "feature_0 -> inter_" in text


def test_the_command_prints_what_it_takes(tmp_path, capsys):
    export("driving_ncp", format="c", output=tmp_path, prefix="car", bounds=False)
    printed = capsys.readouterr().out
    assert "car.h and car.c" in printed
    assert "flash, constants [bytes]: circuit 5,376" in printed
    assert "RAM [bytes]: state 76" in printed
    assert "car_outside" not in (tmp_path / "car.h").read_text()
    with pytest.raises(InputError, match="onnx or c"):
        export("driving_ncp", format="rust", output=tmp_path)


def test_an_export_is_sent_to_another_machine_with_its_code(flagship):
    names = [name for name, _ in model_bundle(flagship).content()]
    assert {"driving_ncp.c", "driving_ncp.h", "c_export.json", "config.json"} <= set(names)


def test_an_edited_source_is_not_driven(flagship, tmp_path):
    folder = shutil.copytree(flagship, tmp_path / "edited")
    with (folder / "driving_ncp.c").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="damaged or edited"):
        load_driver(folder)


def test_the_configuration_of_another_model_is_not_driven_with_it(flagship, tmp_path):
    folder = shutil.copytree(flagship, tmp_path / "mixed")
    shutil.copy(models.find("rc_track_ncp") / "config.json", folder)
    with pytest.raises(InputError, match="two different models"):
        load_driver(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="no export of a policy as C"):
        load_driver(folder)


def small(folder: Path, height: int, width: int) -> Path:
    """An untrained policy for small frames, of a size that divides by nothing."""
    torch.manual_seed(0)
    policy = Policy(SPEC, CameraSetup(height, width))
    with torch.no_grad():
        for convolution in policy.head.convolutions:
            convolution.bias.uniform_(-0.2, 0.2)
    policy.save(folder)
    return folder


@pytest.mark.parametrize(
    ("height", "width"), [(17, 23), pytest.param(33, 90, marks=pytest.mark.slow)]
)
def test_the_float_head_sees_what_it_sees_in_torch(height, width, tmp_path):
    model = small(tmp_path / "model", height, width)
    export_c(model, tmp_path / "c", "float")
    driver, reference = load_driver(tmp_path / "c"), Driver(Policy.load(model))
    rng = np.random.default_rng(1)
    for index in range(6):
        frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        frame //= 1 + 40 * (index == 3)  # a dark one, and a uniform one
        frame[:] = 128 if index == 4 else frame
        wanted, came = reference.step(frame, 0.05), driver.step(frame, 0.05)
        assert np.abs(driver.features - reference.features).max() < 2e-5 * (
            1 + reference.features.max()
        )
        assert (np.abs(came.command - wanted.command) / SPEC.high).max() < 1e-4
        assert came.frame_hash == wanted.frame_hash
    with pytest.raises(ValueError, match="Expected a frame"):
        driver.see(frame[1:])


def test_the_example_takes_a_time_between_frames_and_nothing_else(tmp_path):
    export_c(small(tmp_path / "model", 16, 16), tmp_path / "c", "float", prefix="model")
    files = [tmp_path / "c" / name for name in ("main.c", "model.c")]
    program = build(files, tmp_path / "main", "-O0")
    image = b"P6\n16 16\n255\n" + bytes(range(256)) * 3
    for time, status in (("0.05", 0), ("abc", 1), ("0,05", 1), ("", 1), ("-1", 1), ("--help", 1)):
        done = subprocess.run([program, time], input=image, capture_output=True)
        assert (done.returncode, bool(done.stdout)) == (status, not status), time
        assert bool(done.stderr) == bool(status), time


def test_the_example_reads_features_and_compiles_as_cpp_too(flagship, tmp_path):
    flags = [*WARNINGS, "-O1", "-o", tmp_path / "main"]
    files = [flagship / "main.c", flagship / "driving_ncp.c"]
    subprocess.run([compiler(), *flags, *files, "-lm"], check=True)
    features, elapsed = drive(20)
    lines = (
        " ".join(map(repr, map(float, (e, *f)))) for e, f in zip(elapsed, features, strict=True)
    )
    text = "\n".join(lines)
    done = subprocess.run([tmp_path / "main"], input=text, capture_output=True, text=True)
    wanted = in_torch(Policy.load(models.find("driving_ncp")), features, elapsed)
    assert np.abs(np.array(done.stdout.split(), float) - wanted[:, 0]).max() < 1e-7
    bad = subprocess.run([tmp_path / "main"], input="0.1 2 3\n", capture_output=True, text=True)
    assert bad.returncode == 1
    assert "all features" in bad.stderr
    if shutil.which("g++"):
        header = ["g++", "-std=c++11", "-Wall", "-Werror", "-fsyntax-only", "-x", "c++"]
        subprocess.run([*header, flagship / "driving_ncp.h"], check=True)
