"""A minimal header: no import that nobody uses, the lowest opset that gives every operator the same version, and the
lowest IR version that allows what the model holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import onnx

from reducer.drafts import Draft, DraftEdit
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small

_DEFAULT = ("", "ai.onnx")
# Initializers that are no inputs since IR 4, local functions since IR 8 (onnx: docs/IR.md, onnx.proto).
_IR_PLAIN, _IR_INITIALIZERS, _IR_FUNCTIONS = 3, 4, 8


@dataclass(frozen=True)
class SetHeader(DraftEdit):
    """Exactly these imports (domain, version), and this IR version (0: as it is)."""

    imports: tuple[tuple[str, int], ...]
    ir_version: int = 0

    def change(self, draft: Draft) -> None:
        if self.ir_version and draft.model.ir_version > self.ir_version:
            draft.model.ir_version = self.ir_version
        present = {entry.domain for entry in draft.model.opset_import}
        if not {domain for domain, _ in self.imports} <= present:
            raise EditConflict("other domains are imported now")
        del draft.model.opset_import[:]
        for domain, version in self.imports:
            draft.model.opset_import.add(domain=domain, version=version)

    def __str__(self) -> str:
        return ", ".join(f"opset {version}" + (f" of {domain}" if domain else "") for domain, version in self.imports)


class LowerOpset(ReductionPass[OnnxProgram]):
    """All of it at once, then each part."""

    name: ClassVar[str] = "minimal header"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 15

    def propose(self, program: OnnxProgram) -> Iterable[SetHeader]:
        if not is_small(program):
            return []
        draft = Draft.of(program)
        now = tuple((entry.domain, entry.version) for entry in draft.model.opset_import)
        used = {node.domain for node in draft.nodes()} | {f.domain for f in draft.model.functions}
        plain = any(domain in used for domain in _DEFAULT)
        fewer = tuple(p for p in now if p[0] in used or (p[0] in _DEFAULT and (plain or len(now) == 1))) or now[:1]
        same = tuple((d, _same_versions(draft, d, v)) for d, v in fewer)
        low = _lowest_ir(draft)
        edits = [SetHeader(same, low), SetHeader(fewer, low), SetHeader(fewer), SetHeader(now, low)]
        edits += [SetHeader(same), SetHeader(fewer, _IR_FUNCTIONS)]
        return list(dict.fromkeys(edits))


def _lowest_ir(draft: Draft) -> int:
    if draft.model.functions:
        return _IR_FUNCTIONS
    fixed = {t.name for t in draft.model.graph.initializer} - {v.name for v in draft.model.graph.input}
    bodies = any(graph.initializer for graph in draft.graphs()[1:])
    return _IR_INITIALIZERS if fixed or bodies else _IR_PLAIN


def _same_versions(draft: Draft, domain: str, version: int) -> int:
    """The lowest version of the opset at which all operators of the domain mean the same."""
    since = 1
    for node in draft.nodes():
        if node.domain == domain or {node.domain, domain} <= set(_DEFAULT):
            try:
                since = max(since, onnx.defs.get_schema(node.op_type, version, node.domain).since_version)
            except onnx.defs.SchemaError:
                return version
    return since
