"""Is it the same bug? Looser than in a reduction: between releases wording, class and even symptom change.

Strict first: the literal pieces that every occurrence of the message holds. A release that cannot even load a model
of one Identity with the same opsets and IR version (the control) cannot read the model: it says nothing of the bug.
Then likeness of the normalised messages. What is left is another failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from reducer.bisection.search import Verdict
from reducer.observation import DIED, FAILED, HUNG, OUT_OF_MEMORY, PASSED, Comparison, Observation, plain
from reducer.signature import NEVER_A_MATCH, Vocabulary, normalise

# Share of equal text above which two normalised messages are the same one, worded anew.
ALIKE = 0.6


@dataclass(frozen=True)
class Known:
    """What the finding says of the failure: `form` as in Reproduction, pieces of its message, the whole of it."""

    form: str
    fragments: tuple[str, ...] = ()
    message: str = ""
    error_class: str = ""


@dataclass(frozen=True)
class Seen:
    """What a release did with the probes of the finding. `control` says whether it can read such a model at all."""

    observations: Sequence[Observation]
    comparison: Comparison
    probes: int
    control: Callable[[], bool]


def classify(known: Known, seen: Seen, vocabulary: Vocabulary) -> tuple[Verdict, str]:
    """The verdict on one release, and one line of what was seen."""
    last = seen.observations[-1]
    if last.error in NEVER_A_MATCH:
        return Verdict.UNKNOWN, plain(last.message)
    if known.form == "mismatch":
        return _of_mismatch(known, seen)
    if known.form == "nan":
        if last.outcome == PASSED:
            return (Verdict.FAILS, "NaN") if last.nan_outputs else (Verdict.PASSES, "no NaN")
        return _otherwise(last, seen)
    if last.outcome == PASSED:
        return Verdict.PASSES, "no failure"
    if known.form in ("death", "hang"):
        return _of_violence(known.form, last, seen)
    if last.outcome == OUT_OF_MEMORY and known.error_class == "MemoryError":
        return Verdict.FAILS, last.outcome
    return _of_exception(known, last, seen, vocabulary)


def _of_exception(known: Known, last: Observation, seen: Seen, vocabulary: Vocabulary) -> tuple[Verdict, str]:
    if last.outcome != FAILED:
        return _otherwise(last, seen)
    what = f"{last.error}: {plain(last.message)}"
    if known.fragments and all(piece in last.message for piece in known.fragments):
        return Verdict.FAILS, what
    if not seen.control():
        return Verdict.UNKNOWN, f"cannot read such a model: {plain(last.message)}"
    mine, its = normalise(known.message, vocabulary), normalise(last.message, vocabulary)
    if SequenceMatcher(None, mine, its, autojunk=False).ratio() >= ALIKE:
        return Verdict.FAILS, what
    return Verdict.DIFFERS, what


def _of_violence(form: str, last: Observation, seen: Seen) -> tuple[Verdict, str]:
    if (form, last.outcome) in (("death", DIED), ("hang", HUNG)):
        return Verdict.FAILS, last.signal or last.outcome
    if last.outcome == FAILED and seen.control():
        return Verdict.REJECTS, f"{last.error}: {plain(last.message)}"
    return _otherwise(last, seen)


def _of_mismatch(known: Known, seen: Seen) -> tuple[Verdict, str]:
    if len(seen.observations) == seen.probes and all(o.outcome == PASSED for o in seen.observations):
        if not seen.comparison.differing:
            return Verdict.PASSES, "no difference"
        worst = max(seen.comparison.differing, key=lambda d: d.excess)
        size = f" by up to {worst.max_abs:.4g}" if worst.max_abs is not None else ""
        return Verdict.FAILS, f"{worst.output} differs in {worst.kind}{size}"
    failed = [o for o in seen.observations if o.outcome != PASSED]
    first = seen.observations[0]
    # One bug with another face: the side that gave a wrong value gives none, and its witness is well.
    if len(seen.observations) == seen.probes == 2 and failed == [first] and seen.control():
        return Verdict.FAILS, f"no output, {first.error}: {plain(first.message)}"
    return _otherwise(failed[0], seen)


def _otherwise(last: Observation, seen: Seen) -> tuple[Verdict, str]:
    what = f"{last.error}: {plain(last.message)}" if last.outcome == FAILED else last.signal or last.outcome
    if last.outcome == FAILED and not seen.control():
        return Verdict.UNKNOWN, f"cannot read such a model: {plain(last.message)}"
    return Verdict.DIFFERS, what
