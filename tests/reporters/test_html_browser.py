"""report.html as a browser sees it: the tree that it gives to assistive technology, and a coarse layout of a phone."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reporters.rich_finding import rich
from tests.reporters.test_html import BROWSER, SECTIONS, written

SNAPSHOT = Path(__file__).parents[1] / "golden" / "snapshots" / "report_aria.yaml"
PHONE = {"width": 390, "height": 844}
_SECTION = r'<section id="{0}"[^>]*>.*?</section>'


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if BROWSER is None or shutil.which(BROWSER) is None:
        pytest.skip("needs chromium")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser.new_page(viewport=PHONE)
        browser.close()


def snapshot(page: Any, text: str) -> str:
    page.set_content(text)
    return str(page.locator("body").aria_snapshot()) + "\n"


def layout(page: Any, text: str) -> tuple[list[str], int]:
    """Ids of the sections by where they begin, from above; the width that the page takes."""
    page.set_content(text)
    boxes = {
        name: page.locator(f"[id='{name}']").bounding_box() for name in SECTIONS if page.locator(f"#{name}").count()
    }
    assert all(box["height"] > 0 and box["width"] > 100 for box in boxes.values())
    return sorted(boxes, key=lambda name: boxes[name]["y"]), page.evaluate("document.documentElement.scrollWidth")


def test_the_page_says_what_it_said(page: Any) -> None:
    found = snapshot(page, written(rich()))
    if os.environ.get("UPDATE_GOLDEN"):
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found == SNAPSHOT.read_text(encoding="utf-8")


def test_sections_stand_below_each_other_and_fit_a_phone(page: Any) -> None:
    assert layout(page, written(rich())) == (SECTIONS, PHONE["width"])


@pytest.mark.parametrize("gone", ["suspects", "ladder", "repro"])
def test_a_lost_section_is_seen(page: Any, gone: str) -> None:
    text, count = re.subn(_SECTION.format(gone), "", written(rich()), flags=re.DOTALL)
    assert count == 1
    assert snapshot(page, text) != SNAPSHOT.read_text(encoding="utf-8")
    assert layout(page, text)[0] == [name for name in SECTIONS if name != gone]


def test_what_is_too_wide_or_out_of_order_is_seen(page: Any) -> None:
    text = written(rich())
    assert layout(page, text.replace("<footer>", '<div style="width: 900px">wide</div><footer>'))[1] > PHONE["width"]
    (summary,) = re.findall(_SECTION.format("summary"), text, flags=re.DOTALL)
    moved = text.replace(summary, "").replace("<footer>", summary + "<footer>")
    assert layout(page, moved)[0] == [*SECTIONS[1:], SECTIONS[0]]
