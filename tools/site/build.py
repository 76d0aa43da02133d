"""Builds the documentation site: `python tools/site/build.py [OUTPUT]` (`make docs`).

The pages are those of docs/, readable as they are where the code lies, with model cards, a
reference of commands and nodes made from the code, and the API from its docstrings beside them. A
warning of Sphinx, a dead link among them, is an error.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

# In the order of the imports, as docs/design.md has them; `ros` needs what only a robot has.
ROOMS = (
    *("command", "safety", "camera", "circuits", "perception", "attention", "policy", "data"),
    *("rollout", "evaluation", "analysis", "training", "deploy"),
)
# Pages from beside the code, and what stands for the first of them on the site.
PAGES = {
    "README.md": "quick_start.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "QUALITY_DECLARATION.md": "quality_declaration.md",
}


def assemble(source: Path) -> None:
    """What Sphinx reads, in one folder of its own."""
    shutil.copytree(ROOT / "docs", source)
    shutil.copy(HERE / "conf.py", source)
    shutil.copytree(ROOT / "models", source / "models", ignore=_weights)
    origins = {path: ROOT / "docs" / path.relative_to(source) for path in source.rglob("*.md")}
    origins |= {path: ROOT / path.relative_to(source) for path in source.glob("models/*/*.md")}
    for name, page in PAGES.items():
        if not (source / page).exists():
            origins[source / page] = ROOT / name
            shutil.copy(ROOT / name, source / page)
    for path, origin in origins.items():
        path.write_text(_linked(path, source, origin))
    cards = "\n".join(["", "```{toctree}", ":hidden:", ":glob:", "", "models/*/README", "```", ""])
    with (source / "zoo.md").open("a") as file:
        file.write(cards)
    reference = source / "reference"
    reference.mkdir()
    import commands
    import nodes

    (reference / "commands.md").write_text(commands.page())
    (reference / "nodes.md").write_text(nodes.page())
    _api(reference / "api")


def _weights(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.endswith((".safetensors", ".csv"))]


def _linked(path: Path, source: Path, origin: Path) -> str:
    """A page whose links into the checkout lead to pages, or to files that can be downloaded.

    Args:
        path: the page in `source`.
        source: what Sphinx reads.
        origin: the same page in the checkout, whose links it has.
    """
    up = "../" * (len(path.relative_to(source).parts) - 1)

    def lead(found: re.Match) -> str:
        text, target, anchor = found.groups(default="")
        place = (origin.parent / target).resolve()
        if not target or ":" in target or not place.exists():
            return found[0]  # Sphinx complains of those that lead nowhere.
        inside = place.relative_to(ROOT)
        if str(inside) in PAGES:
            return f"[{text}]({up}{PAGES[str(inside)]}{anchor})"
        if inside == Path("docs"):
            return f"[{text}]({up}index.md)"
        if inside.parts[0] == "docs":
            return f"[{text}]({up}{Path(*inside.parts[1:])}{anchor})"
        if inside == Path("models"):
            return f"[{text}]({up}zoo.md)"
        if inside.parts[0] == "models":
            return f"[{text}]({up}{inside / 'README.md' if place.is_dir() else inside}{anchor})"
        if place.is_dir():
            return f"{text} (`{inside}`)"
        kept = source / "files" / inside
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place, kept)
        return f"[{text}]({up}files/{inside})"

    return re.sub(r"\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", lead, path.read_text())


def _api(folder: Path) -> None:
    """One page for each room, with the public names of its modules."""
    folder.mkdir()
    entries = []
    for room in ROOMS:
        name = f"liquid_control.{room}"
        module = importlib.import_module(name)
        lines = [f"# {room}", "", *documented(name, members=not hasattr(module, "__path__"))]
        for each in sorted(_modules(module), key=lambda found: found.__name__):
            if getattr(each, "__all__", ()):
                lines += [f"## {each.__name__.removeprefix(name + '.')}", ""]
                lines += documented(each.__name__, members=True)
        (folder / f"{room}.md").write_text("\n".join(lines))
        entries.append(room)
    toctree = "\n".join(["```{toctree}", ":maxdepth: 1", "", *entries, "```"])
    (folder / "index.md").write_text(
        "# API\n\nRooms in the order in which they may import one another "
        f"([design](../../design.md)).\n\n{toctree}\n"
    )


def documented(name: str, members: bool) -> list[str]:
    options = ["   :members:", "   :undoc-members:"] if members else ["   :no-index:"]
    return ["```{eval-rst}", f".. automodule:: {name}", *options, "```", ""]


def _modules(module) -> list:
    found = pkgutil.walk_packages(getattr(module, "__path__", ()), module.__name__ + ".")
    return [importlib.import_module(each.name) for each in found if "._" not in each.name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", type=Path, default=ROOT / "build" / "site")
    output = parser.parse_args().output
    source = output.parent / f"{output.name}-source"
    for folder in (source, output):
        shutil.rmtree(folder, ignore_errors=True)
    assemble(source)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    return subprocess.run([*command, str(source), str(output)]).returncode


if __name__ == "__main__":
    sys.exit(main())
