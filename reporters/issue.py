"""issue.md: a draft under the headings of the tracker that it is for. Never filed by this program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar

from reducer.finding import Finding
from reporters.base import Document, Reporter
from reporters.privacy import scrub
from reporters.rendering import counted, fenced, one_line, render, size_text, versions
from reporters.repro import ReproScript

BODY_LIMIT = 65_536
MESSAGE_LIMIT = 3000
_TEMPLATES = {"onnxruntime": "issue/onnxruntime.md.j2", "onnx": "issue/onnx.md.j2"}
_PLATFORM = {"Linux": "Linux", "Darwin": "Mac", "Windows": "Windows"}
_ARCH = {"x86_64": "X64", "AMD64": "X64", "i686": "X86", "aarch64": "ARM64", "arm64": "ARM64", "armv7l": "ARM32"}
_PROVIDER = {"CPU": "Default CPU", "Dml": "DirectML", "Dnnl": "oneDNN", "Nnapi": "NNAPI", "Tensorrt": "TensorRT"}


@dataclass(frozen=True)
class Sections:
    """The parts of a draft, least important last: that is what is dropped when the body is too long."""

    script: str | None
    graph: str | None
    ladder: bool = True
    reduction: bool = True


class IssueDraft(Reporter):
    """One Markdown file."""

    name: ClassVar[str] = "issue.md"

    def render(self, finding: Finding) -> Sequence[Document]:
        if finding.failure is None or finding.reduced is None:
            return []
        documents = ReproScript().render(finding)
        script = documents[0].text if documents else None
        graph = finding.reduced.text
        shown_in_script = bool(script and graph and graph.strip() in script)
        forms = [
            Sections(script, None if shown_in_script else graph),
            Sections(script, None),
            Sections(script, None, ladder=False),
            Sections(None, None, ladder=False),
        ]
        text = ""
        for form in forms:
            text = render(_TEMPLATES[tracker_of(finding)], **_values(finding, form))
            if len(text) <= BODY_LIMIT:
                break
        return [Document("issue", "issue.md", text[:BODY_LIMIT])]


def tracker_of(finding: Finding) -> str:
    """onnx or onnxruntime: as the first suspect with a tracker of its own says, else by the failing backend."""
    for suspect in finding.suspects:
        if suspect.project in _TEMPLATES:
            return str(suspect.project)
    backend = finding.failure.backend if finding.failure else ""
    return "onnx" if backend.startswith(("reference", "onnx-")) else "onnxruntime"


def _values(finding: Finding, sections: Sections) -> dict[str, Any]:
    failure, reduced = finding.failure, finding.reduced
    assert failure is not None
    assert reduced is not None
    repro = finding.reproduction
    options = repro.probes[0].options if repro and repro.probes else {}
    short = options.get("provider", "CPUExecutionProvider").removesuffix("ExecutionProvider")
    environment = finding.environment
    script = next((a for a in finding.artifacts if a.kind == "repro_script"), None)
    return {
        "title": title_of(finding),
        "finding": finding,
        "failure": failure,
        "reduced": reduced,
        "message": fenced(scrub(failure.message.strip()[:MESSAGE_LIMIT])),
        "summary": summary_of(finding),
        "graph": fenced(sections.graph) if sections.graph else None,
        "script": fenced(sections.script, "python") if sections.script else None,
        "verified": script.verified if script else None,
        "expected": scrub(repro.expected_text) if repro else "",
        "actual": scrub(one_line(repro.actual_text, 400)) if repro else "",
        "ladder": _ladder(finding) if sections.ladder else [],
        "suspects": [(s, scrub(one_line(s.evidence, 400))) for s in finding.suspects[:5]],
        "opsets": ", ".join(f"{domain} {version}" for domain, version in finding.source.opsets.items()),
        "versions": versions(finding),
        "platform": _PLATFORM.get(str(environment.get("os")), "Other / Unknown"),
        "os_version": environment.get("os_version") or environment.get("os") or "unknown",
        "arch": _ARCH.get(str(environment.get("arch")), "Other / Unknown"),
        "provider": _PROVIDER.get(short, short),
        "conversion": any(s.project == "converter" for s in finding.suspects[:1]),
        "model": PurePath(finding.source.path).name,
        "size": size_text(reduced.bytes),
    }


def title_of(finding: Finding) -> str:
    """One line: the operator, what happens, and where."""
    failure = finding.failure
    assert failure is not None
    suspect = next((s for s in finding.suspects if s.kind != "stage"), None)
    name = suspect.name if suspect else "model"
    where = failure.backend.split(" (")[0]
    if failure.stage == "compare":
        return f"{name}: wrong output ({failure.signature.kind}) from {failure.witnesses or where}"
    if failure.symptom == "signal":
        return f"{name}: {failure.signature.kind} in {where} during {failure.stage}"
    if failure.symptom == "hang":
        return f"{name}: {where} hangs during {failure.stage}"
    reason = suspect.evidence if suspect and suspect.kind == "type" else failure.message
    return scrub(f"{name}: {where} fails during {failure.stage}: {one_line(reason, 90)}")


def summary_of(finding: Finding) -> str:
    """One paragraph: what fails, how small it got, how sure that is."""
    failure, reduced = finding.failure, finding.reduced
    assert failure is not None
    assert reduced is not None
    ops = ", ".join(f"{count} x {op}" if count > 1 else op for op, count in reduced.op_types.items())
    nodes = counted(reduced.nodes)
    what = {
        "exception": f"`{failure.backend}` raises `{failure.signature.kind}` at the stage **{failure.stage}**",
        "signal": f"`{failure.backend}` dies with `{failure.signature.kind}` at the stage **{failure.stage}**",
        "hang": f"`{failure.backend}` does not come back at the stage **{failure.stage}**",
        "out_of_memory": f"`{failure.backend}` runs out of memory at the stage **{failure.stage}**",
        "command": f"a check command fails with {failure.signature.kind}",
    }.get(failure.symptom, f"outputs differ: {scrub(failure.message)}")
    sure = f"It fails in the same way in {reduced.reproduced} fresh processes."
    return f"A model of {nodes} ({ops}), cut out of one of {finding.source.nodes}: {what}. {sure}"


def _ladder(finding: Finding) -> list[tuple[str, str, str, str]]:
    rows = []
    for rung in finding.ladder:
        message = scrub(one_line(rung.message or "", 120)).replace("|", "\\|")
        rows.append((rung.stage, rung.backend, rung.outcome, message))
    return rows
