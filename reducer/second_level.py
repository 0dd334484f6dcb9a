"""The second level of a failure that a front end met: the ONNX model that it wrote, reduced by the ONNX engine.

Only where that model is what fails by itself: it does not load or run, or the runtime alone gives wrong numbers. A
model that is wrong itself is not cut: every node of it does what it says, the right value of no edge inside is known,
and with wrong recorded values any node at the end would look like the culprit. Whatever happens here, the finding of
the first level stays as it is.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from reducer.aiming import AnyOracle, Target
from reducer.engine.problem import ignore
from reducer.errors import OnnxReduceError
from reducer.finding import Artifact, Finding, GraphNode, Suspect
from reducer.frontends.subject import Subject
from reducer.neighbourhood import neighbourhood
from reducer.observation import PASSED
from reducer.oracles.mismatch import MismatchOracle
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from reducer.worker.host import Host
from reducer.workspace import LOG, Workspace

FOLDER = "onnx"
ORIGINS = "private/onnx_origins.json"
# The model is that of a reduced source: small.
SECONDS = 20.0
STAGES = ("load", "run", "compare")
EVIDENCE = 300
# Names of one or two letters tell nothing.
LEAST = 3


@dataclass(frozen=True)
class Written:
    """An ONNX model that a front end wrote, with feeds and right outputs by name (npz) where they are known."""

    model: Path
    feeds: Path | None = None
    expected: Path | None = None


@dataclass(frozen=True)
class Origin:
    """The node of the source that an ONNX node was made of, and its type there."""

    node: str
    op: str


class Writer(ABC):
    """A front end that writes ONNX. `what` is how it calls that model, `source` who knows the right outputs."""

    what: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def write(self, folder: Path) -> Written | None:
        """The model of the reduced source, in `folder`; None where there is none."""

    @abstractmethod
    def origins(self, nodes: Sequence[GraphNode]) -> Sequence[Origin | None]:
        """What each node was made of; they have the names that they have in the written model."""


@dataclass(frozen=True)
class Place:
    """Where the second level runs and writes."""

    host: Host
    workspace: Workspace
    say: Callable[[str], None]


class SecondSession(OnnxSession):
    """An ONNX session that knows when the model itself is wrong. `wrong` are then the witnesses that do not give the
    right outputs, `nodes` what the model is made of."""

    wrong: tuple[str, ...] = ()
    nodes: tuple[GraphNode, ...] = ()
    _oracle: AnyOracle | None = None

    def worth(self, subject: Subject, target: Target) -> bool:
        """False when nobody runs the model rightly. A witness that does not run the whole may run a part."""
        dispute, ladder = target.aim.dispute, target.ladder
        if dispute is None or dispute.b is not None:
            return True
        self._oracle = target.oracle
        self.wrong = tuple(dict.fromkeys(d.a.label for d in ladder.comparison.differing if d.b is None))
        self.nodes = neighbourhood(subject.program, subject.program)
        ran = ladder.of(dispute.second)
        return dispute.second is not None and (ran is None or ran.outcome != PASSED)

    @property
    def model_is_wrong(self) -> bool:
        """Whether no witness was found that gives the right outputs, of a part of the model either."""
        oracle = self._oracle
        return bool(self.wrong) and not (isinstance(oracle, MismatchOracle) and oracle.dispute.b is not None)


def with_second_level(finding: Finding, writer: Writer, place: Place, settings: Settings) -> Finding:
    """The finding with what the ONNX engine makes of the written model, where that model is what fails."""
    if finding.failure is None or finding.failure.stage not in STAGES or finding.status == "interrupted":
        return finding
    return guarded(finding, writer.what, place, lambda: _with_it(finding, writer, place, settings))


def guarded(finding: Finding, what: str, place: Place, make: Callable[[], Finding]) -> Finding:
    """What `make` gives; the finding as it is when that does not come to an end."""
    start = time.perf_counter()
    place.say(f"reducing {what}")
    try:
        made = make()
    except KeyboardInterrupt:
        place.say(f"interrupted: {what} was not reduced")
        return finding
    except OnnxReduceError as error:
        place.say(f"{what} was not reduced: {error}")
        return finding
    except Exception:  # noqa: BLE001 - the first level is done: nothing here may take it away
        place.workspace.log({"event": "second_level_fault", "fault": traceback.format_exc()})
        return finding
    place.workspace.log({"event": "second_level", "seconds": round(time.perf_counter() - start, 2)})
    return made


@contextmanager
def second_run(
    written: Written, stage: str, place: Place, settings: Settings
) -> Iterator[tuple[SecondSession, Finding]]:
    """An ONNX session on the written model and its finding; its folder is there as long as this lasts."""
    own = _settings(written, stage, settings)
    session = SecondSession(own, str(written.model), ignore, lambda _: None, place.host)
    try:
        yield session, session.run()
    finally:
        session.rest()
        if session.workspace is not None:
            session.workspace.discard()


def _with_it(finding: Finding, writer: Writer, place: Place, settings: Settings) -> Finding:
    assert finding.failure is not None
    # A folder of its own: nothing of an earlier run on this host can be taken for the model.
    written = writer.write(Path(tempfile.mkdtemp(prefix="onnx-", dir=place.host.folder)))
    if written is None:
        return finding
    budget = settings.budget_seconds
    short = replace(settings, budget_seconds=SECONDS if budget is None else min(SECONDS, budget))
    with second_run(written, finding.failure.stage, place, short) as (session, below):
        if session.model_is_wrong:
            return replace(finding, suspects=(*finding.suspects, _blameless(writer, session)))
        if below.reduced is None or session.workspace is None:
            return finding
        kept = [node for node in below.neighbourhood if node.kept]
        origins = writer.origins(kept)
        files = (*_copied(below, session.workspace, place), *_told(kept, origins, place))
        suspect = _suspect(writer, below, origins)
        return replace(finding, suspects=(*finding.suspects, suspect), artifacts=(*finding.artifacts, *files))


def _settings(written: Written, stage: str, settings: Settings) -> Settings:
    """Those of the user that say something of ONNX."""
    return Settings(
        inputs=written.feeds,
        # Right outputs decide who is wrong: they are of use where numbers are compared.
        expected=written.expected if stage == "compare" else None,
        stage=stage,  # type: ignore[arg-type] # one of STAGES
        provider=settings.provider,
        opt_level=settings.opt_level,
        custom_ops=settings.custom_ops,
        rtol=settings.rtol,
        atol=settings.atol,
        keep_names=settings.keep_names,
        keep_weights=settings.keep_weights,
        jobs=settings.jobs,
        budget_calls=settings.budget_calls,
        budget_seconds=settings.budget_seconds,
        output=written.model.with_suffix(".reduced"),
        force=True,
    )


def _copied(below: Finding, made: Workspace, place: Place) -> tuple[Artifact, ...]:
    """What lies beside finding.json of the ONNX run, below the result; nothing of its private folder."""
    files = []
    for artifact in below.artifacts:
        path = made.folder / artifact.path
        if "/" in artifact.path or artifact.path == LOG or not path.exists():
            continue
        place.workspace.write(f"{FOLDER}/{artifact.path}", path.read_bytes())
        files.append(Artifact("other", f"{FOLDER}/{artifact.path}"))
    return tuple(files)


def _told(kept: Sequence[GraphNode], origins: Sequence[Origin | None], place: Place) -> tuple[Artifact, ...]:
    """Every ONNX node that is left with the node that it was made of, in a file for the user alone."""
    if not any(origins):
        return ()
    rows = [
        {"onnx": node.op_type, "name": node.name, "node": origin and origin.node, "op": origin and origin.op}
        for node, origin in zip(kept, origins, strict=True)
    ]
    note = "Names of the source. Do not share this file."
    place.workspace.write(ORIGINS, json.dumps({"private": True, "note": note, "made_of": rows}, indent=1))
    return (Artifact("other", ORIGINS),)


def _suspect(writer: Writer, below: Finding, origins: Sequence[Origin | None]) -> Suspect:
    """The ONNX operator that is left, with the node of the source that it was made of."""
    assert below.reduced is not None
    first = next((s for s in below.suspects if s.kind in ("op", "type", "shape", "value")), None)
    ops = _counted(below.reduced.op_types)
    said = f": {_without_names(first.evidence, below)[:EVIDENCE]}" if first is not None else ""
    evidence = f"{writer.what} fails by itself, reduced to {below.reduced.nodes} ({ops}){said}{_made_of(origins)}"
    name, project = (first.name, first.project) if first is not None else (ops, None)
    return Suspect("op", name, evidence, _node(origins), project)


def _blameless(writer: Writer, session: SecondSession) -> Suspect:
    """Says that the model is wrong, not who runs it, and what it is made of."""
    origins = writer.origins(session.nodes)
    ops = _counted(Counter(node.op_type for node in session.nodes))
    witnesses = ", ".join(session.wrong)
    evidence = (
        f"{writer.what} is what is wrong ({ops}): none of {witnesses} gives what {writer.source} does; it is not cut "
        f"further, since right values are known at its edges alone{_made_of(origins)}"
    )
    return Suspect("stage", "convert", evidence, _node(origins))


def _made_of(origins: Sequence[Origin | None]) -> str:
    """Only one node is named: reports to share hide the name that a suspect has as its node."""
    known = [origin for origin in origins if origin is not None]
    if not known:
        return ""
    others = list(dict.fromkeys(origin.op for origin in known if origin.op != known[0].op))
    more = f" and of {', '.join(others)}" if others else ""
    return f"; made of {known[0].op} (node {known[0].node}){more}"


def _node(origins: Sequence[Origin | None]) -> str | None:
    return next((origin.node for origin in origins if origin is not None), None)


def _counted(op_types: Mapping[str, int]) -> str:
    return ", ".join(op if count == 1 else f"{count} {op}" for op, count in op_types.items())


def _without_names(text: str, below: Finding) -> str:
    """Names of the written model as the reduced one has them: they are the source's own."""
    assert below.reduced is not None
    new = {old: name or "<name>" for old, name in below.names.items()}
    new.update({node.name: new.get(node.name, "<name>") for node in below.neighbourhood})
    names = [name for name in new if len(name) >= LEAST and name not in below.reduced.op_types]
    if not names:
        return text
    pattern = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![\w/.])(?:{pattern})(?![\w/])", lambda found: new[found.group(0)], text)
