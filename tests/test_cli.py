"""The command line: what it answers, and with which exit code, whatever comes in."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from liquid_control import __version__, cli
from liquid_control.errors import InputError


def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess:
    """The real command in a process of its own; `before` is code that runs first in it."""
    code = f"import sys\n{before}\nfrom liquid_control.cli import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=100
    )


def sentence(done: subprocess.CompletedProcess) -> str:
    """The one line on stderr of a command that was refused."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("liquid-control: ")
    return lines[0]


def test_help_lists_every_command_and_succeeds() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in cli.COMMANDS)


def test_no_command_shows_the_usage_and_exits_with_2() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stdout.startswith("usage: liquid-control")


def test_the_version_is_printed_for_those_who_report_a_fault(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_unknown_command_names_the_known_ones() -> None:
    said = sentence(run("fly"))
    assert "'fly'" in said
    assert "drive" in said
    assert "evaluate" in said


def test_a_name_that_begins_two_word_commands_shows_those(capsys: pytest.CaptureFixture) -> None:
    for arguments, code in ((["data", "--help"], 0), (["data", "-h"], 0), (["data"], 2)):
        assert cli.main(arguments) == code
        told = capsys.readouterr()
        shown = told.err if code else told.out
        assert "\n  data repair " in shown
        assert "evaluate" not in shown
    assert cli.main(["data", "inf"]) == 2
    assert "'data inf'; expected one of data info, " in capsys.readouterr().err


def test_a_command_that_is_mistyped_is_answered_with_the_nearest(capsys) -> None:
    assert cli.main(["evalute"]) == 2
    assert "expected one of evaluate, " in capsys.readouterr().err


def test_an_unknown_option_exits_with_2_and_no_traceback() -> None:
    done = run("doctor", "--no-such-option")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout


def test_a_missing_package_is_named_with_what_to_do() -> None:
    said = sentence(run("doctor", before="sys.modules['tyro'] = None"))
    assert "'tyro'" in said
    assert "make setup" in said


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "liquid_control", "--help"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, cli.usage())


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_is_one_function_whose_options_are_typed_and_explained(name: str) -> None:
    module, _, function = cli.COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(module), function)
    signature = inspect.signature(command)
    explained = inspect.getdoc(command) or ""
    for option in signature.parameters.values():
        assert option.annotation is not option.empty, option.name
        assert f"{option.name}:" in explained, f"{name} --{option.name} is not explained"


@pytest.mark.parametrize(
    ("raised", "code"),
    [(InputError("Expected a, came b; do c."), 2), (KeyboardInterrupt(), 130)],
)
def test_what_a_command_raises_becomes_an_exit_code(
    raised: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail() -> int:
        raise raised

    monkeypatch.setattr("liquid_control.doctor.doctor", fail)
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err in ("", "liquid-control: Expected a, came b; do c.\n")


def test_an_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("liquid_control.doctor.doctor", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail() -> int:
        return Path("/dev/full").write_text("too much")

    monkeypatch.setattr("liquid_control.doctor.doctor", fail)
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "no room on the disk" in said[0]


@pytest.mark.parametrize("raised", [PermissionError(13, "Permission denied", "bag/x.mcap")])
def test_a_file_that_may_not_be_read_is_said_in_one_sentence(
    raised: OSError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail() -> int:
        raise raised

    monkeypatch.setattr("liquid_control.doctor.doctor", fail)
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "bag/x.mcap cannot be read or written (Permission denied)" in said[0]


@pytest.mark.parametrize(
    "command", [("evaluate", "--model"), ("drive", "--model"), ("replay", "no-bag", "--model")]
)
def test_an_unknown_model_is_refused_with_the_known_ones(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    said = sentence(run(*command, str(tmp_path / "nothing")))
    assert "nothing" in said
    assert not list(tmp_path.iterdir())
