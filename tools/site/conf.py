"""Sphinx's settings of the documentation site; tools/site/build.py calls it."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from liquid_control import __version__

project = "liquid_control"
author = "the liquid_control maintainers"
copyright = "2026, the liquid_control maintainers"
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_enable_extensions = ["dollarmath", "attrs_inline", "deflist"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "liquid_control"
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
# Words such as "rows" in docstrings are no references.
suppress_warnings = ["ref.python"]
default_role = "code"
napoleon_use_ivar = True
napoleon_google_docstring = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_class_signature = "separated"


def sentences(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list) -> None:
    """Docstrings are sentences with `code`, not reStructuredText: |a| is no substitution."""
    found: list[str] = []
    before = 0
    for line in lines:
        parts = line.split("`")
        # A plural's s after a name must not touch it.
        parts[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in parts[2::2]]
        parts[::2] = [part.replace("|", "\\|").replace("*", "\\*") for part in parts[::2]]
        indent = len(line) - len(line.lstrip())
        if line.strip() and found and found[-1].strip() and indent < before:
            found.append("")  # as reStructuredText wants it after what is indented
        before = indent if line.strip() else before
        found.append("`".join(parts))
    lines[:] = found


# Browsers set MathML by themselves: the site asks nobody for scripts.
def inline_math(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block_math(writer: HTML5Translator, node: nodes.math_block) -> None:
    style = "overflow-x: auto; overflow-y: hidden"
    equation = convert(node.astext(), display="block")
    writer.body.append(f'<div class="equation" style="{style}">{equation}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("autodoc-process-docstring", sentences, priority=900)
