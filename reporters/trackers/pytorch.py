"""pytorch/pytorch: the form bug-report.yml, whose fields have no ids."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import Facts, FormField, Tracker, field


class PyTorch(Tracker):
    """No blob and no download may stand in a report here: the script holds the model as text."""

    name: ClassVar[str] = "pytorch"
    repository: ClassVar[str] = "pytorch/pytorch"
    form: ClassVar[str] = "bug-report.yml"
    projects: ClassVar[tuple[str, ...]] = ("torch", "pytorch")
    producers: ClassVar[tuple[str, ...]] = ("pytorch",)
    packages: ClassVar[tuple[str, ...]] = ("torch", "onnxscript", "onnx", "onnxruntime", "numpy", "python")
    regression: ClassVar[str] = "torch"
    policy: ClassVar[str] = (
        "This repository closes reports that ignore its policy on AI-assisted development. Read the policy, say in "
        "the report what a tool wrote (the draft names onnx-reduce), run the script yourself, and answer questions "
        "yourself."
    )
    fields: ClassVar[tuple[FormField, ...]] = (
        field("🐛 Describe the bug", required=True),
        field("Versions", required=True),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """Never a priority, never an `oncall:`."""
        found = ["module: onnx"]
        if facts.failure.symptom == "signal":
            found.append("module: crash")
        return (*found, "module: regression") if facts.regressed else tuple(found)

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """The form wants the output of a script of theirs."""
        return ("Put the output of `python -m torch.utils.collect_env` under *Versions*; look through it for names of "
                "this machine first.",)  # fmt: skip
