"""The script that completes our commands, in a real bash."""

import subprocess
import sys

import pytest

from liquid_control.cli import COMMANDS, main

TRY = """
source "$1"
function=$(complete -p liquid-control | sed 's/.*-F \\([^ ]*\\).*/\\1/')
shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
$function
echo "${COMPREPLY[@]}"
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_bash_completes_commands_options_and_choices(tmp_path):
    script = tmp_path / "liquid-control.bash"
    command = [sys.executable, "-m", "liquid_control", "--print-completion", "bash"]
    with script.open("w") as file:
        subprocess.run(command, stdout=file, check=True)

    def offered(*words: str) -> set[str]:
        tried = ["bash", "-c", TRY, "bash", str(script), "liquid-control", *words]
        return set(subprocess.run(tried, capture_output=True, text=True, check=True).stdout.split())

    assert {name.split()[0] for name in COMMANDS} <= offered("")
    assert offered("eval") == {"evaluate"}
    assert {"info", "view", "repair"} <= offered("data", "")
    assert {"--workers", "--engine", "--address"} <= offered("record", "--")
    assert offered("record", "--engine", "") == {"local", "ray"}
    # Options of a command whose recipe gives their defaults.
    assert "--checkpoint" in offered("train", "--check")
    # Nothing of ours fits: the shell offers files.
    assert offered("train", "config/dri") == set()
    assert "-o default" in script.read_text()


@pytest.mark.parametrize("shell", [["ksh"], []])
def test_another_shell_is_refused_with_the_known_ones(shell, capsys):
    assert main(["--print-completion", *shell]) == 2
    assert "expected bash, zsh, fish, tcsh" in capsys.readouterr().err
