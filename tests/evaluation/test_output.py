"""Where results are written: refused before the work, and beside what they are of."""

from pathlib import Path

import pytest
from small_world import WORLD

from liquid_control.errors import InputError
from liquid_control.evaluation.compare import compare
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.evaluation.output import beside
from liquid_control.evaluation.report_command import report


def test_a_name_beside_the_folder_one_stands_in(tmp_path, monkeypatch):
    folder = tmp_path / "monday"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert beside(Path("."), "-report") == tmp_path / "monday-report"
    assert beside(Path("drives/monday.mcap"), "-report") == Path("drives/monday-report")


@pytest.mark.parametrize("place", ["taken", "taken/run"])
def test_a_file_in_the_place_of_the_output_is_said_before_the_work(tmp_path, make_drive, place):
    (tmp_path / "taken").write_text("mine")
    output = tmp_path / place
    calls = (
        lambda: evaluate("expert", WORLD, episodes=1, output=output),
        lambda: evaluate("driving_ncp", data=(tmp_path / "nowhere",), output=output),
        lambda: report(make_drive(3)[0], output=output),
        lambda: compare(tmp_path / "a", tmp_path / "b", output=tmp_path / "taken" / "x.json"),
    )
    for call in calls:
        with pytest.raises(InputError, match="taken is a file; give another"):
            call()
    assert (tmp_path / "taken").read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]
