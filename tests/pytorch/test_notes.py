"""ONNX nodes of an exported model mean FX nodes: by what the exporter writes beside them. No torch."""

from __future__ import annotations

from onnx import NodeProto, TensorProto, helper

from reducer.worker.pytorch.notes import FX_NODE, origins_in


def noted(op: str, outputs: list[str], name: str, fx: str, target: str) -> NodeProto:
    node = helper.make_node(op, ["x"], outputs, name=name)
    note = f"%{fx} : [num_users=1] = call_function[target=torch.ops.{target}](args = (%x,), kwargs = {{}})"
    node.metadata_props.add(key=FX_NODE, value=note)
    return node


def test_a_node_is_known_by_its_name_or_by_what_it_makes() -> None:
    inner = helper.make_graph([noted("Elu", ["e"], "inside", "elu", "aten.elu.default")], "body", [], [])
    nodes = [
        noted("Sum", ["s"], "node_sum", "sum_1", "aten.sum.dim_IntList"),
        noted("Relu", ["r"], "", "relu", "aten.relu.default"),
        helper.make_node("Neg", ["r"], ["n"], name="plain"),
        helper.make_node("If", ["n"], ["i"], name="branch", then_branch=inner, else_branch=inner),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph(nodes, "g", [value], []))
    asked = [["node_sum", ["q"]], ["", ["r"]], ["plain", ["n"]], ["inside", []], ["gone", ["e"]], ["", [""]]]
    assert origins_in(model, asked) == [
        {"node": "sum_1", "target": "aten.sum.dim_IntList"},
        {"node": "relu", "target": "aten.relu.default"},
        None,
        {"node": "elu", "target": "aten.elu.default"},
        {"node": "elu", "target": "aten.elu.default"},
        None,
    ]
