"""A model's wiring as the live page draws it, made in a process of its own.

Loading a model takes PyTorch, seconds and some hundred megabytes: more than a page is worth, beside
a policy that drives.

    python -m liquid_control.ros.view_wiring MODEL      prints JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["WiringProcess"]


class WiringProcess:
    """Draws a model's wiring while others work.

    Args:
        folder: of the model.
    """

    def __init__(self, folder: str) -> None:
        # A pipe would fill up and hold the process; nobody reads before it has ended.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, folder],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.DEVNULL,
        )

    def result(self) -> dict[str, Any] | None:
        """`outputs` and `layout`, or `trouble`; None while it is being made."""
        if self._process.poll() is None:
            return None
        self._output.seek(0)
        try:
            return json.load(self._output)
        except ValueError:
            return {
                "trouble": f"The wiring could not be drawn (exit code {self._process.returncode})."
            }

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()


def _draw(folder: Path) -> dict[str, Any]:
    from liquid_control.analysis.wiring_figure import wiring_layout
    from liquid_control.policy import Policy

    policy = Policy.load(folder)
    outputs = [
        {"name": each.name, "unit": each.unit, "low": each.low, "high": each.high}
        for each in policy.spec.outputs
    ]
    return {"outputs": outputs, "layout": wiring_layout(policy.circuit)}


def main(folder: str) -> int:
    from liquid_control.errors import InputError

    # Whoever drives goes first.
    os.nice(5)
    path = Path(folder)
    if not path.is_dir():
        found = {"trouble": f"The model's folder {folder} is not on this machine."}
    else:
        try:
            found = _draw(path)
        except InputError as error:
            found = {"trouble": str(error)}
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
