"""Verdicts and the Oracle protocol (architecture.md sections 2 and 6)."""

from __future__ import annotations

from reducer.engine.verdict import Judgement, Oracle, Verdict

__all__ = ["Judgement", "Oracle", "Verdict"]
