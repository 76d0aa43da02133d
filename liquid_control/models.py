"""Where trained policies lie: `models/` of the checkout or `share/` of the installation."""

from __future__ import annotations

import sys
from pathlib import Path

from liquid_control.errors import InputError

__all__ = ["find", "folders", "share"]


def share() -> Path:
    """The folder that holds launch, config and models: the checkout or the installed share."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "package.xml").is_file():
        return checkout
    # colcon installs into <prefix>/lib/pythonX/site-packages, pip into <sys.prefix>/lib/...
    for prefix in (*Path(__file__).resolve().parents, Path(sys.prefix)):
        candidate = prefix / "share" / "liquid_control"
        if candidate.is_dir():
            return candidate
    raise InputError(
        f"liquid_control is installed in {Path(__file__).parent} without its share folder "
        "(launch, config, models); install it again with pip or colcon."
    )


def folders() -> dict[str, Path]:
    """The shipped models by name."""
    root = share() / "models"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/config.json"))}


def find(name_or_path: str | Path) -> Path:
    """The folder of a model, given its name or its path.

    Raises:
        InputError: neither a folder with a config.json nor a shipped model.
    """
    path = Path(name_or_path)
    if (path / "config.json").is_file():
        return path
    known = folders()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    names = ", ".join(known) or "none"
    raise InputError(
        f"No model {str(name_or_path)!r}: expected a folder with a config.json or one of the "
        f"shipped models ({names}); give one of these or the path of a trained model."
    )
