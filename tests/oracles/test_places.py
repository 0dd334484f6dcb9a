"""Every kind of failure in every place of the ladder: the others are still climbed, and the right one is reduced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from reducer import registry
from reducer.engine.problem import Problem
from reducer.engine.reducer import Reducer
from reducer.observation import DIED, FAILED, HUNG, OUT_OF_MEMORY, SKIPPED
from reducer.oracles.crash import CrashOracle
from reducer.oracles.ladder import CHECKER, INFERENCE, INLINER, REFERENCE, RUNTIME, Plan, choose, climb
from reducer.oracles.limits import Limits
from reducer.oracles.prober import Prober
from reducer.programs.onnx import OnnxProgram
from reducer.signature import Vocabulary, of_observation
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from tests.fakes.backends import ALL, AT_OPEN
from tests.models import chain_text, feeds_for, model_of, program_of

PLACES = (CHECKER, INFERENCE, INLINER, RUNTIME, REFERENCE)
KINDS = [("segfaults", DIED), ("aborts", DIED), ("exits", DIED), ("hangs", HUNG), ("eats_memory", OUT_OF_MEMORY),
         ("raises", FAILED)]  # fmt: skip


def with_a_function(folder: Path) -> OnnxProgram:
    """A chain with an Elu in it, and a function that is called, so that the inliner has a rung."""
    model = model_of(chain_text(6, {4: "Elu"}))
    model.opset_import.append(helper.make_opsetid("f", 1))
    inner = [helper.make_node("Neg", ["a"], ["b"])]
    model.functions.append(helper.make_function("f", "Flip", ["a"], ["b"], inner, [helper.make_opsetid("", 17)]))
    model.graph.node.append(helper.make_node("Flip", ["t6"], ["t7"], domain="f"))
    model.graph.output.append(helper.make_tensor_value_info("t7", TensorProto.FLOAT, [2, 3]))
    return program_of(model, folder)


@pytest.mark.parametrize(("kind", "outcome"), KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_failure_in_any_place_is_seen_and_reduced(
    host: Host, tmp_path: Path, place: str, kind: str, outcome: str
) -> None:
    program = with_a_function(tmp_path)
    fakes = ALL if place in (RUNTIME, REFERENCE) else AT_OPEN
    backends = {**registry.backends(), place: fakes[kind]}
    prober = Prober(host, backends, feeds_for(program, tmp_path), Tolerance())
    limits = Limits(1.0 if outcome == HUNG else 20.0)
    plan = Plan()
    ladder = climb(prober, program, plan, limits)
    climbed = {seen.probe.backend for seen in ladder.observations}
    assert climbed == {*PLACES} - ({REFERENCE} if ladder.spared else set())
    aim = choose(ladder, plan)
    if place == REFERENCE and outcome == HUNG:
        # numpy may just be slow: said, and reduced only for those who ask for it.
        assert aim is None
        assert ladder.observations[-1].outcome == SKIPPED
        plan = replace(plan, reference=REFERENCE)
        aim = choose(climb(prober, program, plan, limits), plan)
    assert aim is not None
    assert aim.observation is not None
    assert (aim.observation.probe.backend, aim.observation.outcome) == (place, outcome)
    limits.hang = outcome == HUNG
    vocabulary = Vocabulary(program.source.names(), program.source.op_types())
    target = of_observation(aim.observation, vocabulary)
    problem = Problem(program, CrashOracle(prober, aim.observation.probe, target, vocabulary, limits))
    Reducer(problem, registry.passes()).run(())
    assert [ref.op_type for ref in problem.best.nodes()] == ["Elu"]
