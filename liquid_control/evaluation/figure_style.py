"""How figures of a report look: matplotlib draws them once, the page's style sheet colours them.

Colours are drawn as placeholders that become CSS variables, and text stays text. So one SVG fits a
light and a dark page, is set in the reader's font and can be searched and copied.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

__all__ = [
    "ASKED",
    "BAD",
    "DRIVEN",
    "ERROR_MAP",
    "INK",
    "LAYER_COLORS",
    "MODELS",
    "MUTED",
    "NEGATIVE",
    "PAPER",
    "PLOT_LEFT",
    "PLOT_RIGHT",
    "POSITIVE",
    "RULE",
    "TARGET",
    "canvas",
    "dress",
    "layer",
    "limits",
    "model_colors",
    "model_css",
    "to_svg",
]

# Placeholders: close to black, so that a figure opened outside of the page can still be read.
INK, MUTED, RULE, PAPER = "#010101", "#010102", "#010103", "#010104"
ASKED, DRIVEN, TARGET, BAD = "#010105", "#010106", "#010107", "#010108"
# One for each model of a comparison; from the ninth on they come again.
MODELS = tuple(f"#0101{number:02x}" for number in range(0x11, 0x19))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    ASKED: "--asked",
    DRIVEN: "--driven",
    TARGET: "--target",
    BAD: "--bad",
    **{color: f"--m{number + 1}" for number, color in enumerate(MODELS)},
}
# These keep their colours on both pages: contrast to white and to near-black is at least 2.9.
LAYER_COLORS = {"inter": "#3b8ea5", "command": "#8a6fc4", "motor": "#d0632f"}
POSITIVE, NEGATIVE = "#d0632f", "#3178b8"
ERROR_MAP = LinearSegmentedColormap.from_list(
    "lateral_error", ["#169c86", "#7fa62c", "#e09f1f", "#d84a34", "#a3174f"]
)

# Axes over time share these edges (shares of the figure's width): the page's cursor needs them.
PLOT_LEFT, PLOT_RIGHT = 0.075, 0.985
_PIXELS_PER_INCH = 72


def canvas(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` CSS pixels; a font size of 12 is then 12 px."""
    figure = Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH), dpi=72)
    figure.patch.set_alpha(0)
    FigureCanvasSVG(figure)
    return figure


def dress(axes: Axes, xlabel: str = "", ylabel: str = "", grid: str = "y") -> None:
    """Quiet axes: no box, hairline grid, muted ticks."""
    axes.patch.set_alpha(0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(colors=MUTED, labelsize=11, length=0, pad=5)
    axes.tick_params(axis="x", length=3, color=RULE)
    if grid:
        axes.grid(axis=grid, color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, color=MUTED, fontsize=11)
    axes.set_ylabel(ylabel, color=MUTED, fontsize=11)


def layer(name: str) -> str:
    """The layer of a neuron: "inter_3" -> "inter"."""
    return name.rsplit("_", 1)[0]


def model_colors(names: Iterable[str]) -> dict[str, str]:
    """The placeholder colour of each model, in their order."""
    return {name: MODELS[index % len(MODELS)] for index, name in enumerate(names)}


def model_css(names: Iterable[str]) -> dict[str, str]:
    """The same colours as the page's style sheet knows them."""
    return {name: f"var({_VARIABLES[color]})" for name, color in model_colors(names).items()}


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an inline `<svg>`; ids begin with `name`, so that figures do not clash."""
    text = io.StringIO()
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.family": "DejaVu Sans",
        "path.simplify_threshold": 0.2,
    }
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(settings):
        figure.savefig(text, format="svg", metadata=nothing)
    svg = text.getvalue()
    view = re.search(r'viewBox="[^"]*"', svg).group()
    # Everything before the first group is matplotlib's preamble with its own global style.
    body = svg[svg.index("<g ") :].strip()
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'font-family: [^;"]*', "font-family: var(--sans)", body)
    for placeholder, variable in _VARIABLES.items():
        body = body.replace(placeholder, f"var({variable})")
    label = html.escape(description, quote=True)
    return f'<svg {view} role="img" aria-label="{label}">\n{body}'


def limits(values: np.ndarray, least: float, pad: float = 0.12) -> tuple[float, float]:
    """Axis limits around finite `values` and zero that span at least +-`least`."""
    finite = values[np.isfinite(values)]
    low = min(float(finite.min(initial=0.0)), -least)
    high = max(float(finite.max(initial=0.0)), least)
    return low - pad * (high - low), high + pad * (high - low)
