"""Closed by default: no node is to be reached from the network, and no file can run code."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from liquid_control import models
from liquid_control.ros import processes

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for room in ("liquid_control", "envs", "launch", "benchmarks", "tools")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "liquid_control/envs" not in str(path)
]
# A network of its own with one interface beside the loopback, so that nobody else is in it.
NETWORK = """
set -e
ip link set lo up
ip link add outside type veth peer name other
echo 1 > /proc/sys/net/ipv6/conf/outside/disable_ipv6
ip addr add 10.77.0.2/24 dev outside
ip link set other up
ip link set outside up multicast on
"$@" & node=$!
until grep -q "Commands pass" log; do kill -0 $node; sleep 0.1; done
# What a node announces every second, and once for each of its topics, has been sent by then.
for _ in 1 2 3; do ss -Huan | awk '{print $4}'; sleep 0.5; done | sort -u > sockets
cat /proc/net/igmp > groups
awk '/outside/ {print $11}' /proc/net/dev > sent
kill -INT $node
wait $node
"""
# Where discovery gathers: 239.255.0.1, as the kernel writes it.
GROUP = "0100FFEF"


@pytest.fixture
def network(tmp_path):
    """Runs the safety node in a network of its own; what it listened to, joined and sent."""
    tools = [shutil.which(name) for name in ("unshare", "ip", "ss")]
    if not all(tools) or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("a network of its own needs unshare, ip and ss, and the right to make one")

    def look(discovery: str | None) -> tuple[set[str], str, int]:
        names = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTDDS_DEFAULT_PROFILES_FILE")
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment["ROS_DOMAIN_ID"] = "44"
        if discovery:
            environment[names[0]] = discovery
        folder = tmp_path / str(discovery)
        folder.mkdir()
        (folder / "log").touch()
        command = [sys.executable, "-m", "liquid_control.ros.safety_node"]
        with (folder / "log").open("wb") as log:
            done = subprocess.run(
                ["unshare", "-n", "bash", "-c", NETWORK, "bash", *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                timeout=60,
            )
        assert done.returncode == 0, (folder / "log").read_text()
        sockets = set((folder / "sockets").read_text().split())
        return sockets, (folder / "groups").read_text(), int((folder / "sent").read_text())

    return look


def discovery_ports(sockets: set[str]) -> set[str]:
    """The addresses of the ports at which others look for the participants of domain 44."""
    first = 7400 + 250 * 44
    ports = {str(port) for port in range(first, first + 250)}
    return {address.rpartition(":")[0] for address in sockets if address.split(":")[-1] in ports}


@pytest.mark.ros
@pytest.mark.slow
def test_a_node_joins_no_group_listens_to_no_interface_and_sends_nothing(network):
    sockets, groups, sent = network(None)
    assert discovery_ports(sockets) == {"127.0.0.1"}
    assert GROUP not in groups
    assert sent == 0
    # Opened, all three are otherwise: the test sees what it is to see.
    sockets, groups, sent = network("SUBNET")
    assert discovery_ports(sockets) == {"0.0.0.0"}
    assert GROUP in groups
    assert sent > 0


@pytest.mark.ros
@pytest.mark.slow
def test_a_node_kept_to_this_machine_is_still_found_by_one_that_is_not(probe, start):
    start("safety")
    probe.wait(lambda: ("safety", "/") in probe.get_node_names_and_namespaces())


def test_the_two_profiles_differ_in_the_network_alone():
    config = models.share() / "config"
    whole, local = (
        (config / name).read_text().partition("-->")[2]
        for name in ("fastdds.xml", "fastdds_localhost.xml")
    )
    head, _, rest = local.partition("        <interfaceWhiteList>\n")
    inside, _, tail = rest.partition("        </interfaceWhiteList>\n")
    assert inside.split() == ["<address>127.0.0.1</address>"]
    assert head + tail == whole


@pytest.mark.parametrize("opened", [None, "SUBNET"])
def test_the_nodes_of_a_command_stay_here_unless_the_user_opens_them(monkeypatch, tmp_path, opened):
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    if opened:
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", opened)
    said = processes.environment(tmp_path)["ROS_AUTOMATIC_DISCOVERY_RANGE"]
    assert said == (opened or "LOCALHOST")


# What can run code while it reads a file.
LOADERS = {
    *(f"{name}.load" for name in ("pickle", "dill", "joblib", "marshal", "cloudpickle")),
    *(f"{name}.loads" for name in ("pickle", "dill", "marshal", "cloudpickle")),
    *("pickle.Unpickler", "shelve.open", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load"),
    *("eval", "exec"),
}
SUSPECT = re.compile(r"pickle|dill|joblib|marshal|shelve|torch\.load|yaml|unsafe|\beval\(|\bexec\(")


def test_nothing_that_a_user_feeds_is_unpickled():
    found = []
    for path in SOURCES:
        if not SUSPECT.search(text := path.read_text()):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            options = {item.arg: ast.unparse(item.value) for item in node.keywords}
            trusting = called == "torch.load" and options.get("weights_only") != "True"
            trusting |= options.get("allow_pickle") == "True" or options.get("typ") == "'unsafe'"
            if called in LOADERS or trusting:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {called}")
    assert not found
