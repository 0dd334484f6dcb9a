"""issue.md: a draft under the headings of the tracker that it is for. Never filed by this program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, ClassVar

from reducer.finding import Failure, Finding, Reduced
from reporters.base import Document, Reporter
from reporters.privacy import scrub, scrub_paths
from reporters.rendering import counted, fenced, folded, one_line, render, versions
from reporters.repro import ReproScript, compact

# GitHub refuses longer ones.
BODY_LIMIT = 65_536
TITLE_LIMIT = 200
MESSAGE_LIMIT = 3000
SUSPECTS = 5
# Longer blocks are folded, so that the headings of the form stay on one screen.
GRAPH_LINES, SCRIPT_LINES = 40, 150
_TEMPLATES = {
    "onnxruntime": "issue/onnxruntime.md.j2",
    "onnx": "issue/onnx.md.j2",
    "pytorch": "issue/pytorch.md.j2",
}
# Options of ONNX Runtime's form 08-general.yml, to the letter: GitHub knows no others.
OTHER = "Other / Unknown"
_PLATFORM = {"Linux": "Linux", "Darwin": "Mac", "Windows": "Windows"}
_ARCH = {
    "x86_64": "X64", "AMD64": "X64", "i386": "X86", "i686": "X86", "x86": "X86", "aarch64": "ARM64", "arm64": "ARM64",
    "ARM64": "ARM64", "armv7l": "ARM32", "ppc64le": "IBM Power",
}  # fmt: skip
_PROVIDER = {
    "CPU": "Default CPU", "CoreML": "CoreML", "CUDA": "CUDA", "Dml": "DirectML", "Dnnl": "oneDNN",
    "OpenVINO": "OpenVINO", "Tensorrt": "TensorRT", "Nnapi": "NNAPI", "ACL": "ACL", "ArmNN": "ArmNN",
    "MIGraphX": "MIGraphX", "Rknpu": "Rockchip NPU", "SNPE": "SNPE", "Tvm": "TVM", "VitisAI": "Vitis AI",
}  # fmt: skip


@dataclass(frozen=True)
class Sections:
    """The parts of a draft that can be left out when the body gets too long."""

    script: str | None
    graph: str | None
    ladder: bool = True
    message: int = MESSAGE_LIMIT


class IssueDraft(Reporter):
    """One Markdown file."""

    name: ClassVar[str] = "issue.md"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The draft; nothing without a failure that was reduced."""
        if finding.failure is None or finding.reduced is None:
            return []
        text = ""
        for sections in _shrinking(finding):
            text = render(
                _TEMPLATES[tracker_of(finding)], **_values(finding, finding.failure, finding.reduced, sections)
            )
            if len(text) <= BODY_LIMIT:
                break
        return [Document("issue", "issue.md", text[:BODY_LIMIT])]


def _shrinking(finding: Finding) -> Iterator[Sections]:
    """From everything to the least that still says what fails: what matters least goes first."""
    documents = ReproScript().render(_public(finding))
    script = documents[0].text if documents else None
    graph = finding.reduced.text if finding.reduced else None
    if script and graph and compact(graph) in script:
        graph = None
    yield Sections(script, graph)
    yield Sections(script, graph, ladder=False)
    yield Sections(script, None, ladder=False)
    yield Sections(script, None, ladder=False, message=300)
    yield Sections(None, graph, ladder=False, message=300)
    yield Sections(None, None, ladder=False, message=300)


def _public(finding: Finding) -> Finding:
    """The finding with no path of this machine in the user's command."""
    repro = finding.reproduction
    if repro is None or not repro.command:
        return finding
    return replace(finding, reproduction=replace(repro, command=tuple(map(_public_word, repro.command))))


def _public_word(word: str) -> str:
    if PurePosixPath(word).is_absolute():
        return PurePosixPath(word).name
    return PureWindowsPath(word).name if PureWindowsPath(word).is_absolute() else scrub_paths(word)


def tracker_of(finding: Finding) -> str:
    """The tracker that the first suspect names, if it has a form here, else by source and failing backend."""
    for suspect in finding.suspects:
        if suspect.project in _TEMPLATES:
            return str(suspect.project)
    backend = finding.failure.backend if finding.failure else ""
    if finding.source.kind == "torch":
        return "pytorch"
    return "onnx" if backend.startswith(("reference", "onnx-")) else "onnxruntime"


def _values(finding: Finding, failure: Failure, reduced: Reduced, sections: Sections) -> dict[str, Any]:
    repro, environment = finding.reproduction, finding.environment
    probe = next((p for p in repro.probes if p.backend == "onnxruntime"), None) if repro else None
    provider = probe.options.get("provider", "CPU") if probe else "CPU"
    script = next((a for a in finding.artifacts if a.kind == "repro_script"), None)
    return {
        "title": title_of(finding).replace("--", "- -"),  # it stands in a comment
        "finding": finding,
        "failure": failure,
        "reduced": reduced,
        "message": fenced(_cut(scrub(failure.message.strip()), sections.message)),
        "summary": summary_of(finding),
        "graph": folded(fenced(sections.graph), "the graph", GRAPH_LINES) if sections.graph else None,
        "script": folded(fenced(sections.script, "python"), "repro.py", SCRIPT_LINES) if sections.script else None,
        "verified": script.verified if script else None,
        "too_long": script is not None and not sections.script,
        "expected": one_line(scrub(repro.expected_text), 400) if repro else "",
        "actual": one_line(scrub(repro.actual_text), 400) if repro else "",
        "ladder": _ladder(finding) if sections.ladder else [],
        "suspects": [(s, one_line(scrub(s.evidence), 400)) for s in finding.suspects[:SUSPECTS]],
        "opsets": ", ".join(f"{domain} {version}" for domain, version in finding.source.opsets.items()),
        "versions": versions(finding),
        "platform": _PLATFORM.get(str(environment.get("os")), OTHER),
        "os_version": environment.get("os_version") or environment.get("os") or "unknown",
        "arch": _ARCH.get(str(environment.get("arch")), OTHER),
        "provider": _PROVIDER.get(provider.removesuffix("ExecutionProvider"), OTHER),
        "provider_name": provider,
        "conversion": any(s.project == "converter" for s in finding.suspects[:1]),
        "generated": finding.source.inputs == "generated" and failure.stage in ("run", "compare"),
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " ..."


def title_of(finding: Finding) -> str:
    """One line: the operator, what happens, and where."""
    failure = finding.failure
    assert failure is not None
    suspect = next((s for s in finding.suspects if s.kind != "stage"), None)
    name = suspect.name if suspect else "model"
    where = failure.backend.split(" (")[0]
    if failure.stage == "compare" and failure.symptom != "exception":
        title = f"{name}: wrong output ({failure.signature.kind}) from {failure.witnesses or where}"
    elif failure.symptom == "signal":
        title = f"{name}: {failure.signature.kind} in {where} during {failure.stage}"
    elif failure.symptom == "hang":
        title = f"{name}: {where} hangs during {failure.stage}"
    else:
        reason = suspect.evidence if suspect and suspect.kind == "type" else failure.message
        title = f"{name}: {where} fails during {failure.stage}: {one_line(scrub(reason), 90)}"
    return one_line(scrub(title), TITLE_LIMIT)


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
    }.get(failure.symptom, f"outputs differ: {one_line(scrub(failure.message), 400)}")
    sure = f"It fails in the same way in {reduced.reproduced} fresh processes."
    return f"A model of {nodes} ({ops}), cut out of one of {finding.source.nodes}: {what}. {sure}"


def _ladder(finding: Finding) -> list[tuple[str, str, str, str]]:
    rows = []
    for rung in finding.ladder:
        message = one_line(scrub(rung.message or ""), 120).replace("|", "\\|").replace("`", "'")
        # As code: nothing in a message may turn into a link or a mention.
        rows.append((rung.stage, rung.backend, rung.outcome, f"`{message}`" if message else ""))
    return rows
