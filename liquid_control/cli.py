"""`liquid-control COMMAND ...`: one command per job, each a plain function in its own room."""

from __future__ import annotations

import errno
import importlib
import os
import sys

from liquid_control import __version__
from liquid_control.errors import InputError, nearest_first

__all__ = ["main"]

# Imported only when called: `liquid-control doctor` must work where torch or rclpy is missing.
COMMANDS = {
    "drive": ("liquid_control.ros.drive:drive", "drive a simulated car through ROS 2 nodes"),
    "drone": ("liquid_control.ros.drone:drone", "fly a simulated drone through ROS 2 nodes"),
    "teleop": ("liquid_control.ros.teleop:teleop", "take the vehicle into your own hands"),
    "view": ("liquid_control.ros.view:view", "watch a running vehicle in a browser"),
    "replay": (
        "liquid_control.ros.replay_command:replay",
        "replay a bag through the real policy node",
    ),
    "evaluate": ("liquid_control.evaluation.evaluate:evaluate", "measure a model in closed loop"),
    "compare": (
        "liquid_control.evaluation.compare:compare",
        "two evaluations of the same seeds, with intervals",
    ),
    "record": ("liquid_control.rollout.record:record", "record a world's expert into bags"),
    "train": ("liquid_control.training.imitation:train", "train a policy from bags"),
    "tune": (
        "liquid_control.training.tune.command:tune",
        "search the settings of a training recipe",
    ),
    "dagger": (
        "liquid_control.training.dagger.command:dagger",
        "let a policy drive and learn from the expert",
    ),
    "adapt": (
        "liquid_control.training.adapt:adapt",
        "fine-tune a model's circuit on new bags",
    ),
    "rl": (
        "liquid_control.training.rl.command:rl",
        "let a policy learn from its own driving",
    ),
    "import": ("liquid_control.data.importers.command:import_", "turn recordings into bags"),
    "data info": ("liquid_control.data.data_commands:info", "say what bags hold"),
    "data view": ("liquid_control.data.data_commands:view", "draw bags as a contact sheet"),
    "data repair": ("liquid_control.data.data_commands:repair_", "mend a killed recorder's bag"),
    "export": ("liquid_control.deploy.command:export", "write a policy that drives without torch"),
    "report": ("liquid_control.evaluation.report_command:report", "write a report's page again"),
    "audit": (
        "liquid_control.evaluation.audit:audit",
        "make a run's decisions again and compare",
    ),
    "neurons": (
        "liquid_control.analysis.neurons:neurons",
        "show what a circuit does, and what matters in it",
    ),
    "attend": ("liquid_control.analysis.attend:attend", "show where models look, and measure it"),
    "explain": ("liquid_control.analysis.explain:explain", "take one decision apart"),
    "doctor": ("liquid_control.doctor:doctor", "say what works here and how to mend the rest"),
}

# Of a file or folder that somebody named, and that the system keeps to itself.
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENAMETOOLONG)


def usage(commands: dict[str, tuple[str, str]] = COMMANDS) -> str:
    width = max(map(len, commands))
    rows = [f"  {name:<{width}}  {text}" for name, (_, text) in commands.items()]
    return "\n".join(["usage: liquid-control COMMAND [options]", "", *rows, ""]) + (
        "\n`liquid-control COMMAND --help` shows the options of one, `--version` the version; "
        "`liquid-control --print-completion bash` (or zsh, fish, tcsh) is for your shell.\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it succeeded, 1 when it failed, 2 when its input does not fit."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(__version__)
        return 0
    if arguments[0] == "--print-completion":
        return _print_completion(*arguments[1:2])
    name, rest = _split(arguments)
    if name not in COMMANDS:
        # "data" alone is answered with what could follow it.
        group = {each: COMMANDS[each] for each in COMMANDS if each.split()[0] == arguments[0]}
        if group and arguments[1:2] in ([], ["-h"], ["--help"]):
            asked = bool(arguments[1:])
            print(usage(group), end="", file=sys.stdout if asked else sys.stderr)
            return 0 if asked else 2
        known = nearest_first(name, group or COMMANDS)
        print(f"liquid-control: no command {name!r}; expected one of {known}.", file=sys.stderr)
        return 2
    module, function = COMMANDS[name][0].split(":")
    try:
        import tyro

        command = getattr(importlib.import_module(module), function)
        # What a file holds can be the defaults of its command's options (a training recipe).
        if for_arguments := getattr(command, "for_arguments", None):
            command = for_arguments(rest)
        return int(tyro.cli(command, args=rest, prog=f"liquid-control {name}") or 0)
    except InputError as error:
        # Of many jobs the error came from one, which its note names.
        notes = getattr(error, "__notes__", [])
        print("\n  ".join([f"liquid-control: {error}", *notes]), file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("liquid_control"):
            raise
        print(
            f"liquid-control: `{name}` needs the Python package {error.name!r}, which is not "
            "installed; run `make setup`, or `python -m liquid_control.doctor` to see what lacks.",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        # Whoever read the output (`| head`) has gone; without this Python complains at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = error.filename or "what it writes"
            print(f"liquid-control: no room on the disk for {what}; make room.", file=sys.stderr)
            return 1
        if error.errno in CLOSED and error.filename is not None:
            print(
                f"liquid-control: {os.fsdecode(error.filename)} cannot be read or written "
                f"({error.strerror}); look who may (`ls -l`), or give another path.",
                file=sys.stderr,
            )
            return 2
        raise
    except KeyboardInterrupt:
        return 130


def _print_completion(shell: str = "") -> int:
    from liquid_control.completion import completion

    try:
        print(completion({name: where for name, (where, _) in COMMANDS.items()}, shell), end="")
    except InputError as error:
        print(f"liquid-control: {error}", file=sys.stderr)
        return 2
    return 0


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """The command's name, which may be two words ("data info"), and what follows it."""
    two = " ".join(arguments[:2])
    group = any(name.startswith(f"{arguments[0]} ") for name in COMMANDS)
    return (two, arguments[2:]) if two in COMMANDS or group else (arguments[0], arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
