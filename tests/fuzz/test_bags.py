"""A damaged bag is read as far as it is whole, or refused in a sentence; it never crashes a reader.

What is damaged is the record of a policy's drive, one byte after another written over, cut out or
cut off, in its storage or in its metadata; or a file of garbage takes its place.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.data.info import survey
from liquid_control.data.messages import decode_image
from liquid_control.errors import InputError
from liquid_control.evaluation.audit import audit_bag
from liquid_control.policy import Policy

# A case that takes longer hangs [s]; it is a hundred times what one takes on a busy machine.
LONGEST = 30

places = st.floats(0.0, 1.0, exclude_max=True)
damages = st.lists(
    st.tuples(st.just("write"), places, st.binary(min_size=1, max_size=9))
    | st.tuples(st.just("flip"), places, st.integers(0, 7))
    | st.tuples(st.just("cut out"), places, st.integers(1, 200))
    | st.tuples(st.just("put in"), places, st.binary(min_size=1, max_size=40))
    | st.tuples(st.just("cut off"), places, st.none())
    | st.tuples(st.just("replace"), st.just(0.0), st.binary(max_size=300)),
    min_size=1,
    max_size=4,
)
files = st.sampled_from(["bag_0.mcap"] * 4 + ["metadata.yaml"])


def damaged(content: bytes, damages: list[tuple]) -> bytes:
    changed = bytearray(content)
    for kind, share, what in damages:
        place = int(share * len(changed))
        if kind == "write":
            changed[place : place + len(what)] = what
        elif kind == "flip" and changed:
            changed[place] ^= 1 << what
        elif kind == "cut out":
            del changed[place : place + what]
        elif kind == "put in":
            changed[place:place] = what
        elif kind == "cut off":
            del changed[place:]
        elif kind == "replace":
            changed[:] = what
    return bytes(changed)


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def audit_records() -> object:
    """What the audit's own tests make records with."""
    path = Path(__file__).parents[1] / "evaluation" / "audit" / "conftest.py"
    spec = importlib.util.spec_from_file_location("audit_records", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A drive's bag by its compression."""
    folder = tmp_path_factory.mktemp("drives")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    Policy(CommandSpec((CURVATURE, SPEED))).save(folder / "model")
    sent = audit_records().drive(folder / "model")[:22]
    bags = {}
    for compression in ("", "zstd", "lz4"):
        bags[compression] = folder / f"bag{compression}"
        with BagWriter(bags[compression], compression) as bag:
            for each in sent:
                bag.write(each.topic, each.message, each.logged)
        (storage,) = bags[compression].glob("*.mcap")
        storage.rename(bags[compression] / "bag_0.mcap")
        described = bags[compression] / "metadata.yaml"
        described.write_text(described.read_text().replace(storage.name, "bag_0.mcap"))
    return bags


def copied(drive: Path, to: Path, file: str, damages: list[tuple]) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(drive, to)
    (to / file).write_bytes(damaged((to / file).read_bytes(), damages))
    return to


def read(bag: Path, scan: bool) -> None:
    """Every message, decoded; pictures as well."""
    with BagReader(bag, scan=scan) as reader:
        for topic, kind, _, cdr in reader.raw_messages():
            message = reader.decode(topic, cdr)
            if kind == "sensor_msgs/msg/Image":
                assert decode_image(message).dtype == np.uint8


def untouched(read_all: Callable[[], object]) -> None:
    """Reads, or says in a sentence why not."""
    with no_longer_than(LONGEST):
        try:
            read_all()
        except InputError as error:
            sentence = str(error)
        else:
            return
    assert len(sentence) < 2_000
    assert "\n" not in sentence


@pytest.mark.cases(15, 1_000)
def test_a_damaged_bag_is_read_or_refused(holds: Callable, drives, tmp_path):
    def harmless(compression, file, damages, scan):
        bag = copied(drives[compression], tmp_path / "bag", file, damages)
        untouched(lambda: read(bag, scan))
        untouched(lambda: survey(bag))

    holds(harmless, st.sampled_from(list(drives)), files, damages, st.booleans())


@pytest.mark.cases(6, 500)
def test_a_damaged_record_is_audited_or_refused(holds: Callable, drives, tmp_path):
    def harmless(compression, file, damages):
        bag = copied(drives[compression], tmp_path / "bag", file, damages)
        untouched(lambda: audit_bag(bag).to_dict())

    holds(harmless, st.sampled_from(list(drives)), files, damages)


@pytest.mark.cases(20, 5_500)
def test_garbage_is_no_bag(holds: Callable, tmp_path):
    def refused(name, content):
        file = tmp_path / name
        file.write_bytes(content)
        untouched(lambda: read(file, False))
        untouched(lambda: survey(file))
        file.unlink()

    begins = st.sampled_from([b"", b"\x89MCAP0\r\n", b"SQLite format 3\0"])
    contents = st.builds(bytes.__add__, begins, st.binary(max_size=300))
    holds(refused, st.sampled_from(["a.mcap", "a.db3", "a.txt"]), contents)
