"""The policy node drives by an exported policy, and what it decided is audited by the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.deploy.export_files import read_graph
from liquid_control.deploy.onnx_export import export_onnx
from liquid_control.errors import InputError
from liquid_control.evaluation.audit import audit_bag

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(280)]

MS = 1_000_000
START = 1_700_000_000_000 * MS
COUNT = 12


@pytest.fixture(scope="module")
def exported(driver_with_speed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "with_speed"
    export_onnx(driver_with_speed, folder)
    return folder


@pytest.fixture(scope="module")
def run(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay of 12 frames by ONNX Runtime."""
    work = tmp_path_factory.mktemp("replay")
    rng = np.random.default_rng(0)
    with BagWriter(work / "recording") as bag:
        for index in range(COUNT):
            stamp = START + index * 50 * MS
            picture = rng.integers(0, 256, (60, 80, 3), np.uint8)
            bag.write("/camera/image_raw", messages.image(picture, stamp), stamp)
    params = work / "params.yaml"
    params.write_text("/**/policy: {ros__parameters: {runtime: onnx}}", encoding="utf-8")
    options = ["--model", str(exported), "--params", str(params), "--out", str(work)]
    command = [sys.executable, "-m", "liquid_control", "replay", str(work / "recording")]
    done = subprocess.run([*command, *options, "--no-report"], capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()
    (found,) = work.glob("*-replay")
    return found


def test_decisions_of_onnx_runtime_are_equal_to_the_bit_when_they_are_made_again(run, exported):
    result = audit_bag(run / "bag")
    assert result.ok, result.sentence
    assert result.findings.exact, result.build
    assert result.findings.compared["command"] >= COUNT - 2
    facts = result.record.facts_of(result.record.decisions[0])
    assert facts.parameters["runtime"] == "onnx"
    assert facts.build["precision"] == "float32"
    assert facts.build["graph"] == read_graph(exported)[1]


def test_another_graph_of_the_same_weights_is_compared_within_tolerances(
    run, driver_with_speed, tmp_path
):
    export_onnx(driver_with_speed, tmp_path / "half", "float16")
    result = audit_bag(run / "bag", str(tmp_path / "half"))
    assert not result.findings.exact
    assert result.build["precision"] == ("float32", "float16")


def test_a_run_is_not_audited_without_its_export(run, exported, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(exported / name, plain / name)
    with pytest.raises(InputError, match="no exported policy"):
        audit_bag(run / "bag", str(plain))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["-p", "adapt:=true"], "Only the runtime torch can learn"),
        (["-p", "model:=driving_ncp"], "is no exported policy"),
    ],
)
def test_what_an_export_cannot_do_ends_the_node_with_a_sentence(start, exported, more, sentence):
    child = start("policy", "-p", f"model:={exported}", "-p", "runtime:=onnx", *more)
    assert child.process.wait(60) == 2
    assert sentence in child.last_words()
    assert "Traceback" not in child.log.read_text()
