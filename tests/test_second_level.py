"""What the ONNX engine makes of a model that a front end wrote; nothing is lost when it makes nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from reducer.errors import ToolFault, UsageError
from reducer.finding import Failure, Finding, GraphNode, SearchFacts, SignatureFacts, Source, Suspect
from reducer.second_level import ORIGINS, Origin, Place, Writer, Written, with_second_level
from reducer.settings import Settings
from reducer.uncut import in_its_place
from reducer.worker.host import Host
from reducer.workspace import Workspace
from tests.models import model_of

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "resize_cubic_wrong"
FIRST = Suspect("op", "TheOp", "of the first level", "planted/op", "tf2onnx")
UNKNOWN = """g (float[2,3] planted_x) => (float[2,3] planted_y) {
  planted_a = Abs(planted_x)
  planted_b = Nonsense(planted_a)
  planted_y = Neg(planted_b)
}"""
RIGHT = "g (float[2,3] x) => (float[2,3] y) {\n  a = Abs(x)\n  y = Neg(a)\n}"
VALUES = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


Values = np.ndarray[Any, Any] | dict[str, np.ndarray[Any, Any]] | None


class Writes(Writer):
    """Writes the model, feeds and outputs that it was given; nodes come from what they are called without a suffix."""

    what: ClassVar[str] = "the written model"
    source: ClassVar[str] = "the source"

    def __init__(self, model: onnx.ModelProto | Callable[[], None], x: Values = None, y: Values = None) -> None:
        self.model, self.x, self.y = model, x, y

    def write(self, folder: Path) -> Written | None:
        if not isinstance(self.model, onnx.ModelProto):
            self.model()
            return None
        onnx.save(self.model, folder / "model.onnx")
        graph = self.model.graph
        return Written(
            folder / "model.onnx",
            _saved(folder / "feeds.npz", graph.input, self.x),
            _saved(folder / "expected.npz", graph.output, self.y),
        )

    def origins(self, nodes: Sequence[GraphNode]) -> Sequence[Origin | None]:
        return [Origin(node.name.partition("__")[0], "Tf" + node.op_type) if node.name else None for node in nodes]


def _saved(path: Path, names: Iterable[onnx.ValueInfoProto], values: Values) -> Path | None:
    """One array is that of the first name."""
    if values is None:
        return None
    np.savez(path, **(values if isinstance(values, dict) else {next(iter(names)).name: values}))
    return path


def named(text: str) -> onnx.ModelProto:
    model = model_of(text)
    for number, node in enumerate(model.graph.node):
        node.name = f"planted/{node.op_type.lower()}__{number}"
    return model


def finding(stage: str) -> Finding:
    failure = Failure(stage, "exception", SignatureFacts("1", "Fail", "fails"), "fails")
    nothing = SearchFacts(0, 0.0, 0.0, complete=True)
    source = Source("tensorflow", "m.tflite", 0, 10, producer="tf2onnx")
    return Finding("0", "reduced", source, failure, None, nothing, {"tf2onnx": "1"}, suspects=(FIRST,))


@pytest.fixture
def place(host: Host, tmp_path: Path) -> Iterator[Place]:
    workspace = Workspace(tmp_path / "out", force=False)
    yield Place(host, workspace, lambda _: None)
    workspace.discard()


def test_the_model_is_reduced_and_its_node_is_told_by_the_source(place: Place) -> None:
    found = with_second_level(finding("load"), Writes(named(UNKNOWN), VALUES), place, Settings())
    assert found.suspects[0] == FIRST
    below = found.suspects[1]
    assert (below.kind, below.name, below.node) == ("op", "Nonsense", "planted/nonsense")
    assert below.evidence.startswith("the written model fails by itself, reduced to 1 (Nonsense): ")
    assert below.evidence.endswith("; made of TfNonsense (node planted/nonsense)")
    assert {"onnx/reduced.onnx", ORIGINS} <= {artifact.path for artifact in found.artifacts}
    folder = place.workspace.folder
    assert [node.op_type for node in onnx.load(folder / "onnx" / "reduced.onnx").graph.node] == ["Nonsense"]
    rows = json.loads((folder / ORIGINS).read_text())["made_of"]
    assert rows == [{"onnx": "Nonsense", "name": "planted/nonsense__1", "node": "planted/nonsense", "op": "TfNonsense"}]


def test_names_of_the_source_stay_in_the_private_folder(place: Place) -> None:
    found = with_second_level(finding("load"), Writes(named(UNKNOWN), VALUES), place, Settings())
    for path in (place.workspace.folder / "onnx").iterdir():
        assert b"planted" not in path.read_bytes(), path
    # The one name in the evidence is the suspect's node, which reports to share hide.
    node = found.suspects[1].node
    assert node is not None
    assert "planted" not in found.suspects[1].evidence.replace(node, "")


def test_a_model_that_is_wrong_itself_is_said_to_be_and_not_cut(place: Place) -> None:
    found = with_second_level(finding("compare"), Writes(named(RIGHT), VALUES, VALUES), place, Settings())
    assert found.suspects[0] == FIRST
    assert (found.suspects[1].kind, found.suspects[1].node) == ("stage", "planted/abs")
    evidence = found.suspects[1].evidence
    assert "is what is wrong (Abs, Neg): none of onnxruntime (all)" in evidence
    assert "made of TfAbs (node planted/abs) and of TfNeg" in evidence
    assert not (place.workspace.folder / "onnx").exists()


def test_a_runtime_that_is_wrong_is_found_by_a_witness_that_is_right(place: Place) -> None:
    model = onnx.load(SAMPLE / "model.onnx")
    feeds = dict(np.load(SAMPLE / "inputs.npz"))
    (right,) = ReferenceEvaluator(model).run(None, feeds)
    writer = Writes(model, feeds, right)
    found = with_second_level(finding("compare"), writer, place, Settings())
    assert found.suspects[1].name == "Resize"
    assert "fails by itself, reduced to 1 (Resize)" in found.suspects[1].evidence
    assert (place.workspace.folder / "onnx" / "reduced.onnx").exists()


def test_a_witness_that_runs_a_part_alone_tells_what_is_wrong_there(place: Place) -> None:
    # No evaluator knows FastGelu, so none runs the whole; the zero that it adds is known without it.
    text = """g (float[1,1,2,4] x) => (float[1,1,1,2] y) {
      scales = Constant<value = float[4] {1.0, 1.0, 0.6, 0.6}>()
      f = com.microsoft.FastGelu(x) s = Sub(f, f) p = Add(x, s)
      y = Resize<mode: string = "linear", coordinate_transformation_mode: string = "align_corners">(p, "", scales)
    }"""
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 1, 2, 4)
    (right,) = ReferenceEvaluator(model_of(text.replace("com.microsoft.FastGelu", "Abs"))).run(None, {"x": x})
    model = model_of(text)
    model.opset_import.add(domain="com.microsoft", version=1)
    found = with_second_level(finding("compare"), Writes(model, x, right), place, Settings())
    assert found.suspects[1].evidence.startswith("the written model fails by itself, reduced to 1 (Resize)")


def test_a_model_that_does_not_fail_by_itself_says_nothing(place: Place) -> None:
    before = finding("compare")
    writer = Writes(named(RIGHT), VALUES, -np.abs(VALUES))
    assert with_second_level(before, writer, place, Settings()) == before


@pytest.mark.parametrize("error", [ToolFault("x"), UsageError("x"), RuntimeError("x"), KeyboardInterrupt()])
def test_what_goes_wrong_below_takes_nothing_away(error: BaseException, place: Place) -> None:
    def fails() -> None:
        raise error

    before = finding("load")
    assert with_second_level(before, Writes(fails), place, Settings()) == before
    assert not (place.workspace.folder / "onnx").exists()
    logged = (place.workspace.folder / "log.jsonl").read_text()
    assert ("second_level_fault" in logged) == isinstance(error, RuntimeError)


def test_what_breaks_while_files_are_copied_takes_nothing_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise UsageError("cannot write: no space left on device")

    monkeypatch.setattr(place.workspace, "write", full)
    before = finding("load")
    assert with_second_level(before, Writes(named(UNKNOWN), VALUES), place, Settings()) == before


@pytest.mark.parametrize("before", [finding("convert"), replace(finding("load"), status="interrupted")])
def test_only_what_a_model_shows_and_nobody_interrupted_is_looked_at(before: Finding, place: Place) -> None:
    def asked() -> None:
        raise AssertionError("nothing is to be written")

    assert with_second_level(before, Writes(asked), place, Settings()) is before


def test_a_source_that_is_not_cut_is_told_by_the_model_that_it_becomes(place: Place, tmp_path: Path) -> None:
    written = Writes(named(UNKNOWN), VALUES).write(tmp_path)
    found = in_its_place(finding("load"), written, place, Settings())
    assert (found.status, found.source.kind, found.source.nodes) == ("reduced", "tensorflow", 3)
    assert found.reduced is not None
    assert dict(found.reduced.op_types) == {"Nonsense": 1}
    assert found.suspects[0].name == "Nonsense"
    assert found.suspects[-1] == FIRST
    for artifact in found.artifacts:
        assert (place.workspace.folder / artifact.path).exists(), artifact


def test_a_source_whose_model_is_fine_keeps_its_finding(place: Place, tmp_path: Path) -> None:
    before = finding("load")
    assert in_its_place(before, None, place, Settings()) == before
    assert in_its_place(before, Writes(named(RIGHT), VALUES).write(tmp_path), place, Settings()) == before
