"""Exported C under sanitizers, other compilers and on other processors, against torch."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control import models
from liquid_control.data.drive import find_bags, load_drive
from liquid_control.deploy.c_benchmark import measure
from liquid_control.deploy.c_build import WARNINGS
from liquid_control.deploy.c_driver import CDriver
from liquid_control.deploy.c_export import export_c
from liquid_control.policy import Driver, Policy

ROOT = Path(__file__).resolve().parents[2]
CORTEX = ROOT / "examples" / "c" / "cortex_m"
DRIVES = ROOT / "data" / "driving_v1"
# Cortex-M7 and M4 with single-precision unit, M3 without: flags, and QEMU's board.
CORES = {
    "m7": (("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"), "mps2-an500"),
    "m4": (("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), "mps2-an386"),
    "m3": (("-mcpu=cortex-m3",), "mps2-an385"),
}
LINES = 200

pytestmark = pytest.mark.slow


def need(*programs: str) -> None:
    """Skip where a program is not installed."""
    if missing := [name for name in programs if not shutil.which(name)]:
        pytest.skip(f"not installed: {', '.join(missing)}")


def run(*command: object, **more: object) -> subprocess.CompletedProcess:
    done = subprocess.run([str(each) for each in command], capture_output=True, timeout=300, **more)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped driver with its head in float32."""
    folder = tmp_path_factory.mktemp("float")
    export_c(models.find("driving_ncp"), folder, "float", prefix="model")
    return folder


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped driver with its head in 8 bits."""
    if not DRIVES.is_dir():
        pytest.skip("needs the recordings in data/driving_v1")
    folder = tmp_path_factory.mktemp("int8")
    model = models.find("driving_ncp")
    export_c(model, folder, "int8", prefix="model", calibrate=DRIVES)
    return folder


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped driver without a head."""
    folder = tmp_path_factory.mktemp("circuit")
    export_c(models.find("driving_ncp"), folder, prefix="model")
    return folder


def drive(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    elapsed = rng.exponential(1 / 30, count).astype(np.float32)
    elapsed[rng.random(count) < 0.02] = 0
    return rng.uniform(0, 3, (count, 32)).astype(np.float32), elapsed


def in_torch(name: str, features: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    policy = Policy.load(models.find(name))
    with torch.inference_mode():
        given = torch.from_numpy(features)[None], None, torch.from_numpy(elapsed)[None]
        return policy.spec.clip(policy.forward_features(*given)[0][0].numpy())


def lines(features: np.ndarray, elapsed: np.ndarray) -> bytes:
    rows = np.column_stack((elapsed, features)).tolist()
    return "\n".join(" ".join(f"{value:.9g}" for value in row) for row in rows).encode()


def ppm(frames: np.ndarray) -> bytes:
    head = f"P6 # drive\n{frames.shape[2]} {frames.shape[1]}\n255\n".encode()
    return b"".join(head + frame.tobytes() for frame in frames)


def commands(done: subprocess.CompletedProcess) -> np.ndarray:
    return np.array([line.split() for line in done.stdout.decode().splitlines()], np.float32)


@pytest.mark.parametrize("name", ["driving_ncp", "drone_ncp", "carracing_ncp"])
def test_100000_random_steps_give_the_commands_of_torch(name, tmp_path):
    export_c(models.find(name), tmp_path)
    driver = CDriver(tmp_path)
    features, elapsed = drive(100_000)
    wanted = in_torch(name, features, elapsed)
    came = np.stack([driver.act(*each) for each in zip(features, elapsed, strict=True)])
    worst = (np.abs(came - wanted) / driver.spec.high).max()
    print(f"{name}: {worst:.2e} of full command")
    assert worst < 2e-6


def test_a_whole_drive_gives_the_commands_of_torch(export, int8):
    policy = Policy.load(models.find("driving_ncp"))
    recorded = load_drive(find_bags(DRIVES)[-1], policy.camera, policy.spec.names)
    drivers = Driver(policy), CDriver(export), CDriver(int8)
    came = np.array(
        [[driver.step(frame, 1 / 30).command for driver in drivers] for frame in recorded.frames]
    )
    error = np.abs(came[:, 1:] - came[:, :1]) / policy.spec.high
    print(f"{len(came)} frames, of full command: float at most {error[:, 0].max():.2e}, int8 at")
    print(f"most {error[:, 1].max():.4f}, in the mean {error[:, 1].mean():.4f}")
    assert error[:, 0].max() < 5e-6
    assert error[:, 1].max() < 0.1
    assert error[:, 1].mean() < 0.01


@pytest.mark.parametrize("kind", ["export", "int8"])
def test_nothing_is_undefined_or_out_of_bounds(kind, request, tmp_path):
    need("gcc")
    folder = request.getfixturevalue(kind)
    files = folder / "main.c", folder / "model.c"
    checks = "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"
    run("gcc", *WARNINGS, "-O1", *checks, "-o", tmp_path / "checked", *files, "-lm")
    run("gcc", *WARNINGS, "-O3", "-march=native", "-o", tmp_path / "fast", *files, "-lm")
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (6, 78, 200, 3), dtype=np.uint8)
    frames[1], frames[2] = 0, 255
    features, elapsed = drive(2000)
    features[::50] *= 1e30
    elapsed[::70] = 1e20
    for options, given in (([], lines(features, elapsed)), (["0.04"], ppm(frames))):
        checked = commands(run(tmp_path / "checked", *options, input=given))
        fast = commands(run(tmp_path / "fast", *options, input=given))
        assert len(checked) in (2000, 6)
        # -march=native contracts nothing in standard C, but sums vectors in another order.
        assert np.abs(checked - fast).max() < 1e-4 * 0.06


@pytest.mark.parametrize("kind", ["circuit", "export", "int8"])
def test_the_source_needs_libm_alone_and_holds_no_variable(kind, request, tmp_path):
    need("gcc", "nm")
    folder = request.getfixturevalue(kind)
    target = tmp_path / "model.o"
    run(
        "gcc", *WARNINGS, "-O2", "-fno-pic", "-fstack-usage", "-c", folder / "model.c", "-o", target
    )
    symbols = [line.split()[-2:] for line in run("nm", target).stdout.decode().splitlines()]
    # gcc writes loops that clear or copy as calls of these two, which any C library has.
    assert {name for letter, name in symbols if letter == "U"} <= {
        *("expf", "tanhf", "sqrtf", "memset", "memcpy"),
    }
    assert not [name for letter, name in symbols if letter in "DdBbC"]
    usage = re.findall(r":(\w+)\t(\d+)\t(\S+)", target.with_suffix(".su").read_text())
    print("stack [bytes]:", *(f"{name} {size}" for name, size, _ in usage))
    # Bounded: gcc aligns a frame of vectors; only an array of variable length is unbounded.
    assert {how for _, _, how in usage} <= {"static", "dynamic,bounded"}
    assert sum(int(size) for _, size, _ in usage) < 8192


def test_clang_has_nothing_to_say(export, tmp_path):
    need("clang")
    unneeded = "-Wno-padded", "-Wno-declaration-after-statement", "-Wno-unknown-warning-option"
    flags = "-std=c99", "-O2", "-Weverything", "-Werror", *unneeded, "-Wno-unsafe-buffer-usage"
    run("clang", *flags, "-c", export / "model.c", "-o", tmp_path / "model.o")


@pytest.mark.parametrize(
    ("cc", "qemu"),
    [("aarch64-linux-gnu-gcc", "qemu-aarch64"), ("arm-linux-gnueabihf-gcc", "qemu-arm")],
)
def test_arm_linux_gives_the_commands_of_torch(cc, qemu, export, tmp_path):
    need(cc, qemu)
    program = tmp_path / "main"
    files = export / "main.c", export / "model.c"
    run(cc, *WARNINGS, "-O2", "-static", "-o", program, *files, "-lm")
    features, elapsed = drive(LINES)
    came = commands(run(qemu, program, input=lines(features, elapsed)))
    wanted = in_torch("driving_ncp", features, elapsed)
    assert np.abs(came - wanted).max() < 2e-6 * 0.06
    frames = np.random.default_rng(0).integers(0, 256, (2, 78, 200, 3), dtype=np.uint8)
    seen = commands(run(qemu, program, "0.05", input=ppm(frames)))
    driver = Driver(Policy.load(models.find("driving_ncp")))
    wanted = np.array([driver.step(frame, 0.05).command for frame in frames])
    assert np.abs(seen - wanted).max() < 1e-5 * 0.06


@pytest.mark.parametrize("core", list(CORES))
def test_a_bare_cortex_m_gives_the_commands_of_torch(core, circuit, tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    program = bare(core, circuit, tmp_path, circuit / "main.c")
    features, elapsed = drive(LINES if core != "m3" else 40)
    came = commands(emulate(core, program, input=lines(features, elapsed)))
    wanted = in_torch("driving_ncp", features, elapsed)
    assert np.abs(came - wanted).max() < 5e-6 * 0.06


@pytest.mark.parametrize("kind", ["export", "int8"])
def test_a_bare_cortex_m7_sees_frames(kind, request, tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    folder = request.getfixturevalue(kind)
    given = "-DFRAMES", "-DLOWER_PREFIX=model", "-DUPPER_PREFIX=MODEL", "-include", "model.h"
    program = bare("m7", folder, tmp_path, CORTEX / "count.c", *given)
    done = emulate("m7", program, "-icount", "shift=0")
    print(done.stdout.decode().strip())
    step, frame, command = map(float, re.findall(r": ([-\d.e]+)", done.stdout.decode()))
    assert 1e4 < step < 1e5
    assert 1e7 < frame < 4e8
    place = np.arange(78 * 200 * 3)
    driver = CDriver(folder)
    features = 0.1 * (np.arange(32) % 16).astype(np.float32)
    for _ in range(10):
        driver.act(features, 1 / 30)
    picture = (place * 37 + place // 251).astype(np.uint8).reshape(78, 200, 3)
    assert abs(driver.step(picture, 1 / 30).command[0] - command) < 2e-4 * 0.06


def test_the_benchmark_times_step_head_and_frame():
    need("gcc")
    found = measure(models.find("driving_ncp"))
    print(found)
    assert 0 < found["step_ns"] < found["head_ns"]
    assert found["step_ns"] < found["frame_ns"]
    assert found["flash"] == 351_336
    assert found["ram"] == 120_816
    assert 0 < found["memory_kib"] < 20_000
    assert found["start_ms"] > 0


def bare(core: str, folder: Path, target: Path, main: Path, *more: str) -> Path:
    """A program for a Cortex-M board without an operating system."""
    program = target / "bare.elf"
    options = "--specs=rdimon.specs", "-nostartfiles", "-T", CORTEX / "mps2.ld", f"-I{folder}"
    files = CORTEX / "startup.c", main, folder / "model.c"
    libraries = "-lm", "-lc", "-lrdimon"
    flags = "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-O2", "-mthumb", *CORES[core][0]
    run("arm-none-eabi-gcc", *flags, *options, *more, *files, "-o", program, *libraries)
    return program


def emulate(
    core: str, program: Path, *more: str, input: bytes = b""
) -> subprocess.CompletedProcess:
    quiet = "-nographic", "-monitor", "none", "-serial", "none"
    semihosting = "-semihosting-config", "enable=on,target=native"
    board = "-M", CORES[core][1]
    return run(
        "qemu-system-arm", *board, *quiet, *semihosting, *more, "-kernel", program, input=input
    )
