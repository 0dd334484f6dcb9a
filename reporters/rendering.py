"""The one Jinja environment. Templates hold layout; decisions are made in Python and handed to them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from reducer.finding import Finding

# In a wheel the templates lie inside the package; in a checkout beside it.
_PLACES = (Path(__file__).with_name("_templates"), Path(__file__).resolve().parents[1] / "templates")


@cache
def environment() -> jinja2.Environment:
    """Strict about undefined names, so that a template cannot silently print nothing."""
    place = next(folder for folder in _PLACES if folder.is_dir())
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(place),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters["fenced"] = fenced
    return made


def render(template: str, **values: Any) -> str:
    """A template with its values; at most one blank line in a row beyond what Python code wants."""
    text = environment().get_template(template).render(**values)
    return re.sub(r"\n{4,}", "\n\n\n", text).strip("\n") + "\n"


def fenced(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def one_line(text: str, most: int = 160) -> str:
    """The first line of a message, cut at `most` characters."""
    line = next((part.strip() for part in text.splitlines() if part.strip()), "")
    return line if len(line) <= most else line[: most - 3] + "..."


def versions(finding: Finding) -> str:
    """The packages that matter, in one line."""
    names = ("onnxruntime", "onnx", "numpy", "python")
    return ", ".join(f"{name} {finding.environment[name]}" for name in names if finding.environment.get(name))


def counted(nodes: int) -> str:
    """ "1 node" or "3 nodes"."""
    return "1 node" if nodes == 1 else f"{nodes} nodes"


def size_text(nbytes: int) -> str:
    """Bytes for people."""
    amount = float(nbytes)
    for unit in ("bytes", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
