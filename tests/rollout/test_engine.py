"""Jobs on several processes and machines: each once, the same results, and nothing left behind."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engine_jobs
import pytest
import torch
from fake_world import COMMAND, WORLD

from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout import bundle as bundle_module
from liquid_control.rollout.bundle import model_bundle, pack, unpack
from liquid_control.rollout.engine import Engine, spread
from liquid_control.rollout.episode_bag import Settings, is_recorded
from liquid_control.rollout.recording import record_episodes

HERE = Path(__file__).parent
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed: pip install -e '.[scale]'",
)


def save_policy(folder: Path, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    Policy(COMMAND).save(folder)
    return folder


def wait_for(condition, seconds: float = 300.0):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def processes_below(root: int) -> dict[int, str]:
    """Living processes that descend from one, by id, with what they run."""
    found, parents = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(folder.name)] = folder.joinpath("cmdline").read_text()
                parents[int(folder.name)] = int(parent)
        except (FileNotFoundError, ProcessLookupError):
            continue
    below = {root}
    while grown := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= grown
    return {pid: found[pid] for pid in below - {root}}


def alive(pids) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and _state(pid) != "Z"]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workers": 0}, "workers must be 1 or more, got 0"),
        ({"engine": "slurm"}, "No engine 'slurm': expected local or ray"),
        ({"address": "10.0.0.1:6379"}, "add --engine ray"),
        ({"engine": "ray", "address": "head"}, "is HOST:PORT"),
        ({"engine": "ray", "address": "ray://head:10001"}, "is HOST:PORT"),
    ],
)
def test_an_engine_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Engine(**wrong)


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("liquid_control.rollout.cluster.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'liquid_control\[scale\]'"):
        list(spread(engine_jobs.square, [1], engine="ray"))


def test_an_error_of_a_job_is_raised_once_and_names_the_job():
    done = []
    with pytest.raises(InputError, match="Three is expected to be four") as caught:
        done.extend(spread(engine_jobs.fails_at_three, [1, 2, 3, 4]))
    assert caught.value.__notes__ == ["in the job 3"]
    assert done == [(1, 1), (2, 2)]


def test_a_bundle_is_its_content(tmp_path):
    one, two = save_policy(tmp_path / "a" / "model"), save_policy(tmp_path / "b" / "model")
    assert model_bundle(one) == model_bundle(two)
    assert model_bundle(one) != model_bundle(save_policy(tmp_path / "c" / "model", seed=2))
    before = model_bundle(two)
    save_policy(two, seed=3)
    assert model_bundle(two) != before
    with pytest.raises(InputError, match="were changed while jobs used them"):
        before.content()
    (one / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        model_bundle(one)


def test_a_bundle_is_unpacked_once_by_name_and_only_the_last_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "_unpacked", type(bundle_module._unpacked)())
    folders = [save_policy(tmp_path / f"model_{n}", seed=n) for n in range(6)]
    sent, places = [], []

    def content_of(sha256):
        sent.append(sha256)
        return next(b for b in bundles if b.sha256 == sha256).content()

    for folder in (*folders, folders[-1]):
        packed, bundles = pack({"pilot": model_bundle(folder), "again": model_bundle(folder)})
        # The weights are not in it.
        assert len(packed) < 500
        got = unpack(packed, content_of)["pilot"]
        assert got.folder.name == folder.name != got.folder
        assert files(got.folder) == files(folder)
        places.append(got.folder)
    assert len(sent) == len(set(sent)) == 6
    assert places[-1] == places[-2]
    assert [place.exists() for place in places[:6]] == [False, False, True, True, True, True]


@pytest.mark.slow
def test_an_error_in_a_process_names_the_job_too():
    with pytest.raises(InputError, match="Three is expected to be four") as caught:
        list(spread(engine_jobs.fails_at_three, [1, 2, 3, 4], workers=2))
    assert caught.value.__notes__ == ["in the job 3"]


@pytest.fixture(scope="module")
def cluster():
    """Three machines: a head that runs no jobs, and two with one CPU each."""
    before = processes_below(os.getpid())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # A machine that is gone is noticed soon, and workers go no slower than this process.
        config = {
            "health_check_period_ms": 500,
            "health_check_failure_threshold": 6,
            "worker_niceness": 0,
        }
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
        head = {"num_cpus": 0, "_system_config": config, **small}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            nodes.add_node(num_cpus=1, **small)
        yield nodes
        session = Path(nodes.head_node.get_session_dir_path())
        nodes.shutdown()
        shutil.rmtree(session, ignore_errors=True)
        wait_for(lambda: not alive(set(processes_below(os.getpid())) - set(before)))


def on(cluster, workers: int = 2) -> Engine:
    return Engine(workers, "ray", cluster.address)


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_machine_loses_no_job_and_repeats_none_in_the_result(cluster, tmp_path):
    """It goes down while both machines are at work."""
    jobs = [(number, str(tmp_path)) for number in range(8)]
    with on(cluster).session(), ThreadPoolExecutor(1) as background:
        consumer = background.submit(list, on(cluster).spread(engine_jobs.once_marked, jobs))
        marks = wait_for(
            lambda: consumer.done() or (len(found := list(tmp_path.iterdir())) == 2 and found)
        )
        assert not consumer.done(), consumer.result()
        begun = {int(mark.name.split("-")[1]): int(mark.name.split("-")[0]) for mark in marks}
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        # Until here no job can have ended.
        wait_for(lambda: len(alive(begun)) == 1)
        (lost,) = (number for process, number in begun.items() if not alive([process]))
        (tmp_path / "go").touch()
        results = consumer.result(300)
        attempts = [mark.name.split("-")[0] for mark in tmp_path.iterdir() if mark.name != "go"]
    assert sorted(results) == [(job, job[0]) for job in jobs]
    # What it had begun was begun again elsewhere, and nothing else.
    assert sorted(map(int, attempts)) == sorted([lost, *range(len(jobs))])
    cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_jobs_of_a_cluster_do_as_here(cluster, tmp_path, monkeypatch):
    """One session for all, as joining takes longer than the jobs."""
    model = save_policy(tmp_path / "model")
    with on(cluster).session():
        squares = dict(on(cluster).spread(engine_jobs.square, range(20)))
        assert squares == dict(spread(engine_jobs.square, range(20)))
        assert [n for _, n in on(cluster).spread(engine_jobs.threads, range(2))] == [1, 1]
        with pytest.raises(InputError, match="Three is expected to be four") as caught:
            list(on(cluster).spread(engine_jobs.fails_at_three, [1, 2, 3, 4]))
        assert "in the job 3" in caught.value.__notes__
        # Without the folder, which another machine has not.
        bundle = model_bundle(model)
        for _, (name, contents, same) in on(cluster).spread(
            engine_jobs.weights_of, [(bundle, model)] * 3
        ):
            assert (name, contents, same) == ("model", files(model), False)
        monkeypatch.setattr("liquid_control.rollout.cluster.RETRIES", 1)
        with pytest.raises(InputError, match="took its worker down 2 times") as caught:
            list(on(cluster, 1).spread(engine_jobs.takes_its_worker_down, [7]))
        assert "in the job 7" in caught.value.__notes__
        # Who stops listening ends the jobs, and they clean up.
        marks = [tmp_path / f"running-{number}" for number in (1, 2)]
        jobs = [(number, str(tmp_path)) for number in range(3)]
        running = on(cluster, 3).spread(engine_jobs.first_or_endless, jobs)
        assert next(running)[1] == 0
        running.close()
        assert not any(mark.exists() for mark in marks)


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bags_recorded_on_other_machines_are_those_recorded_here(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    model = save_policy(tmp_path / "model")
    settings = Settings(WORLD, seconds=2.0, model=model, disturb=0.3)
    for engine in (Engine(), on(cluster)):
        folder = tmp_path / engine.engine
        folder.mkdir()
        recordings = [(settings, seed, folder / f"{seed:06d}") for seed in range(3)]
        told = dict(record_episodes(recordings, engine))
        assert sorted(seed for _, seed, _ in told) == [0, 1, 2]
        assert sorted(path.name for path in folder.iterdir()) == ["000000", "000001", "000002"]
    for seed in range(3):
        bags = [BagReader(tmp_path / kind / f"{seed:06d}") for kind in ("local", "ray")]
        here, there = (list(bag.raw_messages()) for bag in bags)
        assert here == there
        assert bags[0].facts == bags[1].facts
        assert bags[1].facts["pilot"].startswith("model ")
        # A second command finds it whole.
        assert is_recorded(settings, seed, tmp_path / "ray" / f"{seed:06d}")


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_its_head_a_command_says_so_and_keeps_what_is_done(cluster, tmp_path):
    """The last test of this cluster: it has no head afterwards."""
    bags, address = tmp_path / "bags", cluster.address
    command = [sys.executable, "-m", "liquid_control", "record", WORLD, str(bags)]
    options = ["--episodes", "1000", "--seconds", "20", "--option", "goal=1e9", "--workers", "2"]
    with subprocess.Popen(
        [*command, *options, "--engine", "ray", "--address", address],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as recorder:
        wait_for(lambda: list(bags.glob("0*")) or recorder.poll() is not None)
        cluster.head_node.kill_gcs_server()
        errors = recorder.stderr.read()
    assert recorder.returncode == 2, errors
    assert "Traceback" not in errors
    said = errors.splitlines()[-1]
    assert said.startswith(f"liquid-control: The head of the Ray cluster at {address} is ")
    for bag in bags.glob("0*"):
        with BagReader(bag) as reader:
            assert reader.topics["/camera/image_raw/compressed"][1] == 200


def own_cluster(bags: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "liquid_control", "record", WORLD, str(bags), *options]
    return subprocess.Popen(
        [*command, "--engine", "ray", "--workers", "2"],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As in a terminal, where Ctrl-C reaches Ray's processes too.
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_ends_an_own_cluster_and_keeps_whole_bags(tmp_path):
    bags = tmp_path / "bags"
    clusters = set(Path("/tmp").glob("lc-ray-*"))
    options = ("--episodes", "1000", "--seconds", "20", "--option", "goal=1e9")
    with own_cluster(bags, *options) as recorder:
        wait_for(lambda: list(bags.glob("0*")) or recorder.poll() is not None)
        theirs = processes_below(recorder.pid)
        assert any("raylet" in command for command in theirs.values())
        os.killpg(recorder.pid, signal.SIGINT)
        errors = recorder.stderr.read()
    assert recorder.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("liquid-control: interrupted; ")
    wait_for(lambda: not alive(theirs))
    assert set(Path("/tmp").glob("lc-ray-*")) <= clusters
    for bag in bags.glob("0*"):
        with BagReader(bag) as reader:
            assert reader.topics["/camera/image_raw/compressed"][1] == 200


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_evaluation_on_an_own_cluster_is_that_of_this_machine(tmp_path):
    """A world with OpenGL, a shipped model, and nothing left behind."""
    clusters = set(Path("/tmp").glob("lc-ray-*"))
    told = {}
    for engine in ("local", "ray"):
        options = ["--episodes", "3", "--seconds", "1", "--workers", "2", "--engine", engine]
        command = ["evaluate", "--model", "driving_v0_ncp", "--env", "liquid_control/Driving-v0"]
        done = subprocess.run(
            [sys.executable, "-m", "liquid_control", *command, *options, "--output", engine],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        told[engine] = (tmp_path / engine / "episodes.csv").read_text()
    assert told["ray"] == told["local"]
    assert len(told["ray"].splitlines()) == 1 + 3
    assert set(Path("/tmp").glob("lc-ray-*")) <= clusters
