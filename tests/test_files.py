"""What may be written where, and in one step."""

import os
from pathlib import Path

import pytest

from liquid_control.errors import InputError
from liquid_control.files import check_folder


def test_a_folder_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["taken", "taken/below/it"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(InputError, match="taken is a file; give another folder"):
        check_folder(tmp_path / name)
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("name", ["link", "link/below/it"])
def test_a_link_that_leads_nowhere_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="link is no folder; give another folder"):
        check_folder(tmp_path / name)


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch) -> None:
    # root may write everywhere, whatever the mode says.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path} may not be written; give another folder"):
        check_folder(tmp_path / "a" / "b")
