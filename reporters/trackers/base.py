"""What a tracker is: a repository, the form that it wants filled, and the words it uses for labels.

A new one is one file here and templates/issue/<name>.md.j2. Facts of the forms were read in the repositories; they
change: see docs/reports.md for the date.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from reducer.finding import Failure, Finding, Reduced

# Options that several forms share, to the letter.
OTHER = "Other / Unknown"

# Projects of suspects that make models: what they are suspected of is no fault of what reads the model.
CONVERTERS = frozenset(
    {"converter", "torch", "tf2onnx", "sklearn-onnx", "onnxmltools", "paddle2onnx", "spox", "pnnx", "onnx-ir"}
)


@dataclass(frozen=True)
class FormField:
    """One question of a form. `heading` is the line that stands over the answer, marks included, as GitHub itself
    prints it or as the Markdown template has it; an answer may begin on the same line. `id` is for prefilled
    addresses. A `group` only stands over other questions."""

    heading: str
    id: str = ""
    required: bool = False
    options: tuple[str, ...] = ()
    multiple: bool = False
    group: bool = False


def field(label: str, id: str = "", **more: Any) -> FormField:
    """A question of an issue form (YAML): GitHub prints its label as a heading of level 3."""
    return FormField(f"### {label}", id, **more)


@dataclass(frozen=True)
class Facts:
    """What every tracker needs of a finding that has a failure and a reduced model."""

    finding: Finding
    failure: Failure
    reduced: Reduced

    @property
    def provider(self) -> str:
        """The execution provider of the failing ONNX Runtime, short."""
        repro = self.finding.reproduction
        probe = next((p for p in repro.probes if p.backend == "onnxruntime"), None) if repro else None
        return (probe.options.get("provider", "CPU") if probe else "CPU").removesuffix("ExecutionProvider")

    @property
    def regressed(self) -> bool:
        """Whether released versions prove that it worked before."""
        return bool(self.finding.window) and "since" in str(self.finding.window)

    def of(self, package: str) -> str:
        """The version of a package, or "unknown"."""
        return str(self.finding.environment.get(package) or "unknown")


def facts_of(finding: Finding) -> Facts | None:
    """The finding as trackers take it; None without a failure that was reduced."""
    if finding.failure is None or finding.reduced is None:
        return None
    return Facts(finding, finding.failure, finding.reduced)


class Tracker(ABC):
    """One form of one repository.

    `form` is the file under .github/ISSUE_TEMPLATE: *.yml takes answers field by field, *.md one body, "" is a blank
    issue. `projects` are the names by which suspects call this place, `producers` the beginnings of producer names of
    models whose defects belong here. `packages` are the versions that matter: any more would mislead labelers that
    search the text. `policy` is what the repository asks of the human who files.
    """

    name: ClassVar[str]
    repository: ClassVar[str]
    form: ClassVar[str] = ""
    fields: ClassVar[tuple[FormField, ...]] = ()
    title_prefix: ClassVar[str] = ""
    projects: ClassVar[tuple[str, ...]] = ()
    producers: ClassVar[tuple[str, ...]] = ()
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "numpy", "python")
    policy: ClassVar[str] = ""
    # The style of test_regression.py: a template under templates/regression/, "" where none is known.
    regression: ClassVar[str] = ""
    rank: ClassVar[int] = 0

    @property
    def template(self) -> str:
        """The layout, relative to templates/."""
        return f"issue/{self.name}.md.j2"

    @property
    def is_form(self) -> bool:
        """Whether answers are given field by field."""
        return self.form.endswith((".yml", ".yaml"))

    @abstractmethod
    def labels(self, facts: Facts) -> tuple[str, ...]:
        """Labels to suggest to whoever may set them; from the repository's own vocabulary."""

    def suits(self, facts: Facts) -> bool:
        """Whether this form, among several of its repository, is the one for this failure."""
        return True

    def title(self, title: str, facts: Facts) -> str:
        """The title as this repository wants it."""
        return self.title_prefix + title

    def answers(self, facts: Facts) -> Mapping[str, Any]:
        """Values of this tracker's own for its template."""
        return {}

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """What a human has to do here before filing, beyond what is asked everywhere."""
        return ()


# For repositories without templates.
BLANK = tuple(
    FormField(f"### {label}") for label in ("Summary", "To reproduce", "Expected and actual", "Environment", "Notes")
)


class BlankTracker(Tracker, ABC):
    """A repository that has no template: one plain layout."""

    fields: ClassVar[tuple[FormField, ...]] = BLANK

    @property
    def template(self) -> str:
        """The plain layout."""
        return "issue/_blank.md.j2"
