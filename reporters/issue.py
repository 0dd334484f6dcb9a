"""issue.md: a draft under the headings of the tracker that it is for. Never filed by this program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reducer.finding import Finding
from reporters.base import Document, Reporter
from reporters.draft import draft_of


class IssueDraft(Reporter):
    """One Markdown file."""

    name: ClassVar[str] = "issue.md"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The draft; nothing without a failure that was reduced."""
        draft = draft_of(finding)
        return [] if draft is None else [Document("issue", "issue.md", draft.body)]
