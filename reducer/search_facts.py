"""How the reduction went, in numbers: what the finding says of the search (step 10 of the data path)."""

from __future__ import annotations

from reducer.engine.problem import Problem
from reducer.finding import SearchFacts
from reducer.programs.onnx import OnnxProgram
from reducer.workspace import Workspace


def search_facts(problem: Problem[OnnxProgram], source: OnnxProgram, workspace: Workspace, status: str) -> SearchFacts:
    """Calls, seconds, statistics of the passes, and what else was met."""
    return SearchFacts(
        oracle_calls=problem.calls + problem.speculated,
        seconds=round(problem.seconds, 4),
        seconds_in_oracle=round(problem.oracle_seconds, 4),
        complete=status == "reduced",
        cache_hits=problem.cache_hits,
        workers=problem.budget.jobs,
        passes=problem.statistics(),
        also_found=workspace.others,
        curve=((0, len(source.nodes())), *workspace.curve),
    )
