"""Where an export goes: nothing of somebody else's is replaced, and half of one does not drive."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from liquid_control.deploy import c_export, onnx_export
from liquid_control.deploy.c_export import export_c
from liquid_control.deploy.onnx_export import export_onnx
from liquid_control.deploy.runtime import load_driver
from liquid_control.errors import InputError

WRITERS = {"onnx": (export_onnx, onnx_export), "c": (export_c, c_export)}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(kind, folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="file is a file; give another folder"):
            WRITERS[kind][0](folder, output)
    assert (tmp_path / "file").read_text() == "mine"


def test_another_model_is_not_replaced(kind, folder, tmp_path):
    mine = Path(shutil.copytree(folder, tmp_path / "mine"))
    before = content(mine)
    with pytest.raises(InputError, match="holds a model"):
        WRITERS[kind][0](folder, mine)
    assert content(mine) == before


def test_files_of_ones_own_are_not_replaced(kind, folder, tmp_path):
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "main.c").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        WRITERS[kind][0](folder, tmp_path / "firmware")
    assert content(tmp_path / "firmware") == {"main.c": b"mine"}


def test_two_kinds_of_export_do_not_share_a_folder(folder, exported, tmp_path):
    export_c(folder, tmp_path / "c")
    for write, output in ((export_onnx, tmp_path / "c"), (export_c, exported)):
        before = content(output)
        with pytest.raises(InputError, match="export of another kind"):
            write(folder, output)
        assert content(output) == before


def test_an_export_that_broke_off_does_not_drive_and_is_written_again(
    kind, folder, tmp_path, monkeypatch
):
    write, module = WRITERS[kind]
    write(folder, tmp_path / "export")
    original, written = module.replace_file, []

    def full(path: Path, text: bytes | str) -> None:
        if len(written) == 3:
            raise OSError("no room")
        written.append(path)
        original(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_file", full)
        with pytest.raises(OSError, match="no room"):
            write(folder, tmp_path / "export")
    with pytest.raises(InputError, match="write it again"):
        load_driver(tmp_path / "export")
    write(folder, tmp_path / "export")
