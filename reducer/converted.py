"""The end of a run on a TensorFlow source: confirm, locate, write data files, make the Finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reducer.engine.problem import Problem
from reducer.finding import Finding
from reducer.frontends.tensorflow import TensorFlowSource
from reducer.oracles.conversion import ConversionOracle, Observed
from reducer.programs.graphdef import GraphProgram
from reducer.worker.host import Host
from reducer.workspace import Workspace


@dataclass(frozen=True)
class Converted:
    source: TensorFlowSource
    observed: Observed
    oracle: ConversionOracle
    problem: Problem[GraphProgram]
    status: str
    best_path: str


def nothing_found(source: TensorFlowSource, observed: Observed, host: Host) -> Finding:
    raise NotImplementedError


def conclude(end: Converted, workspace: Workspace, say: Callable[[str], None]) -> Finding:
    best = end.problem.best
    print("BEST", best.size(), [r.ref.op_type for r in best.records], best.inputs, best.outputs)
    print(end.oracle.target, end.problem.calls, end.problem.seconds)
    print("confirm", end.oracle.confirm(best))
    raise SystemExit
