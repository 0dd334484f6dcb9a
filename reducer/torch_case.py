"""A PyTorch model under work, what failed on its ladder, and the text of its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reducer.frontends.torch import TorchModel
from reducer.workspace import Workspace

Report = Mapping[str, Any]


@dataclass(frozen=True)
class TorchCase:
    """The model under work and where its results go."""

    target: str
    model: TorchModel
    workspace: Workspace
    say: Callable[[str], None]
    # The text of the result, once there is one.
    text: dict[str, Any] = field(default_factory=dict)

    @property
    def exporter(self) -> str:
        """dynamo or legacy."""
        return str(self.model.subject["exporter"])

    @property
    def failure(self) -> Report:
        """What failed on the ladder."""
        found: Report = self.model.facts["failure"]
        return found


def shown(text: Report) -> str:
    """The text with its imports, and what makes the model where that is not Reduced()."""
    made = [f"model = {text['made']}"] if text.get("made") else []
    return "\n\n\n".join([code_of(text), *made])


def code_of(text: Report) -> str:
    """The text with its imports alone, each said once."""
    source = str(text["source"])
    missing = [line for line in text["imports"] if line not in source.splitlines()]
    return "\n\n\n".join(filter(None, ["\n".join(missing), source]))
