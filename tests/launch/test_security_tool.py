"""ROS 2's own tool makes keys and signed permissions of the shipped policy file."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from liquid_control import models

ROOT = Path(__file__).resolve().parents[2]
NODES = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file()}


@pytest.fixture
def keystore(ros2, tmp_path):
    """Makes a keystore of a policy file; skips where SROS2 is not installed."""
    if subprocess.run([ros2, "security", "--help"], capture_output=True).returncode:
        pytest.skip("ros2 security is not installed: it comes with the package sros2")

    def make(policy: Path) -> Path:
        folder = tmp_path / "keystore"
        done = subprocess.run(
            [ros2, "security", "generate_artifacts", "-k", folder, "-p", policy],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "ROS_DOMAIN_ID": "7"},
        )
        assert done.returncode == 0, done.stderr
        return folder / "enclaves"

    return make


def permissions(enclave: Path, way: str) -> set[str]:
    text = (enclave / "permissions.xml").read_text()
    return {
        topic
        for part in re.findall(f"<{way}>.*?</{way}>", text, re.DOTALL)
        for topic in re.findall("<topic>(.+?)</topic>", part)
    }


def test_each_node_gets_a_key_and_may_do_its_own_business_alone(keystore):
    enclaves = keystore(models.share() / "security" / "liquid_control.policy.xml")
    for node in NODES:
        assert (enclaves / node / "key.pem").is_file()
        assert (enclaves / node / "permissions.p7s").is_file()
        assert "<default>DENY</default>" in (enclaves / node / "permissions.xml").read_text()
        speaks = permissions(enclaves / node, "publish")
        assert ("rt/cmd_vel_safe" in speaks) == (node == "safety")
        assert ("rt/cmd_vel" in speaks) == (node == "policy")
        assert ("rq/safety/releaseRequest" in speaks) == (node == "teleop")
        assert f"rr/{node}/set_parametersReply" in speaks


def test_the_page_says_how_a_namespace_is_written_into_it(keystore, tmp_path):
    page = (ROOT / "docs" / "security.md").read_text()
    (script,) = re.findall(r"sed '(.+?)' liquid_control.policy.xml", page)
    source = models.share() / "security"
    (tmp_path / "common").symlink_to(source / "common")
    changed = subprocess.run(
        ["sed", script, source / "liquid_control.policy.xml"], capture_output=True, text=True
    )
    (tmp_path / "car1.policy.xml").write_text(changed.stdout)
    enclaves = keystore(tmp_path / "car1.policy.xml") / "car1"
    assert {path.name for path in enclaves.iterdir() if path.is_dir()} == NODES
    assert "rt/car1/cmd_vel_safe" in permissions(enclaves / "safety", "publish")
    assert "rt/diagnostics" in permissions(enclaves / "safety", "publish")
    assert "rt/car1/clock" in permissions(enclaves / "safety", "subscribe")
