"""The one Jinja environment. Templates hold layout; decisions are made in Python and handed to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reducer.finding import Finding

if TYPE_CHECKING:
    import jinja2

# In a wheel the templates lie inside the package; in a checkout beside it.
_PLACES = (Path(__file__).with_name("_templates"), Path(__file__).resolve().parents[1] / "templates")
PACKAGES = (
    "torch",
    "onnxscript",
    "transformers",
    "tf2onnx",
    "tensorflow",
    "keras",
    "onnxruntime",
    "onnx",
    "numpy",
    "python",
)


@cache
def environment() -> jinja2.Environment:
    """Strict about undefined names, so that a template cannot silently print nothing."""
    import jinja2  # here: the terminal needs this module's small functions, and no template

    place = next(folder for folder in _PLACES if folder.is_dir())
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(place),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=lambda name: name is not None and ".html" in name,
    )
    made.filters |= {"quoted": quoted, "fence": fenced, "cell": cell}
    return made


def render(template: str, **values: Any) -> str:
    """A template with its values; one newline at the end."""
    return environment().get_template(template).render(**values).strip("\n") + "\n"


def fenced(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def cell(text: str, most: int = 160) -> str:
    """Text for a cell of a Markdown table or an item of a list: one line, no bar, no code that never ends."""
    return one_line(text, most).replace("|", "\\|").replace("`", "'")


def folded(block: str, summary: str, lines: int) -> str:
    """The block as it is, or under a line to click on when it has more than `lines` lines."""
    if block.count("\n") <= lines:
        return block
    return f"<details><summary>{summary}</summary>\n\n{block}\n\n</details>"


def one_line(text: str, most: int = 160) -> str:
    """The first line of a message, cut at `most` characters."""
    line = next((part.strip() for part in text.splitlines() if part.strip()), "")
    return line if len(line) <= most else line[: most - 3] + "..."


def quoted(text: str) -> str:
    """A Python string literal, in double quotes as formatters want it."""
    inner = repr(text)[1:-1]
    if repr(text).startswith("'"):
        inner = inner.replace("\\'", "'").replace('"', '\\"')
    return f'"{inner}"'


def versions(finding: Finding, packages: Sequence[str] = PACKAGES) -> str:
    """The packages that matter and the platform, in one line."""
    facts = finding.environment
    named = [f"{name} {facts[name]}" for name in packages if facts.get(name)]
    asked = [str(text).partition("==") for text in facts.get("requirements", ())]  # others that --with has named
    named[-1:-1] = [f"{name} {version}" for name, _, version in asked if name not in packages]
    system = " ".join(str(facts[key]) for key in ("os", "arch") if facts.get(key))
    return ", ".join([*named, system] if system else named)


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
