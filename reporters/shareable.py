"""The finding as it may leave the machine: no path, no name of a person or host, no name of the source model that
the reduced one does not hold. Everything that is written for others goes through here; the HTML page, the user's own,
keeps the names of the source, and finding.json keeps all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from reducer.finding import Finding
from reducer.signature import Vocabulary, normalise
from reporters.privacy import scrub, scrub_paths
from reporters.public import public

MASK = "<name>"
_WORDS = re.compile(r"[\w./:-]+")


def shareable(finding: Finding) -> Finding:
    """The same finding with every text cleaned. Structure, numbers and the reduced model stay as they are."""
    finding = public(finding)
    vocabulary = Vocabulary(private_names(finding), frozenset(finding.reduced.op_types if finding.reduced else ()))
    cleaned = _cleaned(finding, cleaner(finding))
    return replace(
        cleaned,
        source=replace(finding.source, path=f"model{_suffix(finding.source.path)}"),
        # Messages about the whole source model name what is around the failure: only their templates are shown.
        ladder=tuple(replace(r, message=normalise(r.message or "", vocabulary) or None) for r in cleaned.ladder),
        suspects=tuple(replace(suspect, node=None, line="") for suspect in cleaned.suspects),
        neighbourhood=(),
    )


def scrubbed(finding: Finding) -> Finding:
    """The finding for the user's own page: no paths, people or hosts, but the names of the source stay."""
    cleaned = _cleaned(finding, scrub)
    return replace(cleaned, source=replace(finding.source, path=scrub(PureWindowsPath(finding.source.path).name)))


def _cleaned(finding: Finding, clean: Callable[[str], str]) -> Finding:
    failure, repro = finding.failure, finding.reproduction
    return replace(
        finding,
        failure=replace(failure, message=clean(failure.message)) if failure else None,
        ladder=tuple(replace(rung, message=clean(rung.message or "") or None) for rung in finding.ladder),
        suspects=_each(finding.suspects, clean, "evidence"),
        neighbours=_each(finding.neighbours, clean, "change", "detail"),
        versions=_each(finding.versions, clean, "detail"),
        shapes=_each(finding.shapes, clean, "tensor", "node", "declared", "inferred", "actual"),
        optimizers=tuple(
            replace(o, before=clean(o.before) if o.before else None, after=clean(o.after) if o.after else None)
            for o in finding.optimizers
        ),
        contrast=replace(finding.contrast, edit=clean(finding.contrast.edit)) if finding.contrast else None,
        reproduction=replace(
            repro,
            command=tuple(map(_public_word, repro.command)),
            expected_text=clean(repro.expected_text),
            actual_text=clean(repro.actual_text),
        )
        if repro
        else None,
    )


def cleaner(finding: Finding) -> Callable[[str], str]:
    """A function that scrubs paths, people and hosts, and masks names of the source model."""
    names = sorted(private_names(finding), key=len, reverse=True)
    pattern = re.compile(r"(?<![\w/.])(?:" + "|".join(map(re.escape, names)) + r")(?![\w/])") if names else None

    def clean(text: str) -> str:
        scrubbed = scrub(text)
        return pattern.sub(MASK, scrubbed) if pattern else scrubbed

    return clean


def private_names(finding: Finding) -> frozenset[str]:
    """Names of nodes and tensors of the source, as far as the finding knows them, that the reduced model does not
    hold. Operator types and names of one or two letters are words of every report."""
    known = {suspect.node for suspect in finding.suspects if suspect.node}
    for node in finding.neighbourhood:
        known |= {node.name, *node.inputs, *node.outputs}
    public = {node.op_type for node in finding.neighbourhood} | {s.name for s in finding.suspects}
    repro, reduced = finding.reproduction, finding.reduced
    for feed in (*repro.feeds, *repro.expected) if repro else ():
        public.add(feed.name)
    for node in reduced.graph if reduced else ():
        public |= {node.name, *node.inputs, *node.outputs}
    texts = [repro.model_text, repro.model_code, repro.made] if repro else []
    if repro is not None and repro.form == "tf2onnx" and repro.model_code:
        texts = [repro.model_code]  # the graph as text is for a script that needs it; then it is the code
    for text in [*texts, reduced.text if reduced else None]:
        public |= set(_WORDS.findall(text or ""))
    public |= set(reduced.op_types) if reduced else set()
    return frozenset(name for name in known - public if len(name) > 2)


def _each(values: tuple[Any, ...], clean: Callable[[str], str], *fields: str) -> tuple[Any, ...]:
    return tuple(
        replace(value, **{name: clean(text) for name in fields if (text := getattr(value, name))}) for value in values
    )


def _suffix(path: str) -> str:
    found = re.search(r"\.\w{1,12}$", path)
    return found.group(0) if found else ""


def _public_word(word: str) -> str:
    if PurePosixPath(word).is_absolute():
        return PurePosixPath(word).name
    return PureWindowsPath(word).name if PureWindowsPath(word).is_absolute() else scrub_paths(word)
