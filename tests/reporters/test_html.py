"""report.html: everything is on the page, nothing is loaded, nothing hostile runs, and a real browser shows it."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reducer.finding import Finding, GraphNode
from reporters.html import HtmlReport, strip
from reporters.picture import picture
from tests.reporters.builders import LOAD, finding_of
from tests.reporters.rich_finding import rich

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
         "--virtual-time-budget=2000"]  # fmt: skip
SECTIONS = ["summary", "suspects", "reduced", "neighbourhood", "ladder", "difference", "curve", "shapes", "neighbours",
            "versions", "passes", "repro", "environment", "filing", "also"]  # fmt: skip


class Page(html.parser.HTMLParser):
    """The ids, the text and the links of a page; unbalanced tags are an error."""

    VOID = ("meta", "br", "img", "rect", "path", "line")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [str(value) for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def written(finding: Finding) -> str:
    (document,) = HtmlReport().render(finding)
    assert (document.kind, document.path) == ("html_report", "report.html")
    return document.text


def test_every_fact_has_a_place() -> None:
    page = Page(written(rich()))
    assert [i for i in page.ids if i in SECTIONS] == SECTIONS
    text = " ".join(page.words)
    pieces = ("303 → 1 node", "3/3", "fedcba9876543210", "secret_act differs first", "EluFusion", "opt_level: none",
                  "fails since 1.3, last good 1.2", "2.0", "float[3]", "off by half", "another one", "9/10",
                  "passing.onnx", "the failure needs them", "core runtime", "assert_allclose",
              "algorithmic_error")  # fmt: skip
    for piece in pieces:
        assert piece in text, piece


def test_a_poor_finding_has_fewer_sections() -> None:
    page = Page(written(finding_of(LOAD)))
    assert "ladder" in page.ids
    assert not {"difference", "curve", "neighbourhood", "versions"} & set(page.ids)
    assert HtmlReport().render(finding_of(None, failure=None)) == []


def test_nothing_is_loaded_and_no_path_is_shown() -> None:
    text = written(rich())
    page = Page(text)
    assert page.links == []
    assert "http" not in re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", text).replace("http-equiv", "")
    assert "planted" not in written(finding_of(LOAD))
    assert "default-src 'none'" in text


EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def evil() -> Finding:
    finding = rich()
    assert finding.failure is not None
    return replace(
        finding,
        failure=replace(finding.failure, message=EVIL, backend=EVIL),
        suspects=(replace(finding.suspects[0], name=EVIL, evidence=EVIL, node=EVIL),),
        neighbourhood=(GraphNode(EVIL, EVIL, (EVIL,), (EVIL,), True, 1),),
        environment={EVIL: EVIL},
        taxonomy={EVIL: EVIL},
    )


def test_names_of_the_model_are_text() -> None:
    text = written(evil())
    assert "<img" not in text
    assert text.count("<script>") == 1
    assert "&lt;img src=x" in text


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30), st.booleans())
def test_any_graph_can_be_drawn(edges: list[tuple[int, int]], inputs: bool) -> None:
    """Cycles, loops and double definitions too: a broken model may hold them."""
    nodes = [
        GraphNode(f"n{i}", "Op", tuple(f"t{a}" for a, b in edges if b == i), (f"t{i}",), i % 2 == 0) for i in range(13)
    ]
    made = picture(nodes, inputs=inputs)
    assert made is not None
    spots = {(box.x, box.y) for box in made.boxes}
    assert len(spots) == len(made.boxes) >= 13
    for box in made.boxes:
        assert 0 <= box.left <= box.left + box.width <= made.width
        assert 0 <= box.y <= made.height


def test_a_chain_goes_down_and_names_are_shortened() -> None:
    made = picture([GraphNode("n" * 80, "Abs", (f"t{i}",), (f"t{i + 1}",), True) for i in range(4)], inputs=True)
    assert made is not None
    heights = [box.y for box in made.boxes]
    assert heights[:4] == sorted(heights[:4])
    assert len(made.boxes) == 5
    assert len(made.lines) == 4
    assert max(len(box.name) for box in made.boxes) <= 22
    assert picture([]) is None


def test_the_strip_says_where_the_culprit_sits() -> None:
    assert strip(rich()) == [pytest.approx(100 / 302 * 600, abs=0.1)]


def seen(text: str, folder: Path, *flags: str) -> str:
    """What a real browser makes of the page: its document after scripts ran."""
    if BROWSER is None:
        pytest.skip("needs chromium")
    (folder / "report.html").write_text(text)
    ended = subprocess.run(
        [BROWSER, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{folder}/report.html"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


# Reads the page as it is laid out, and clicks its button. It stands in the page only in this test.
PROBE = """
const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre, svg")
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + "#" + e.id);
const boxes = [...document.querySelectorAll("#source-graph g rect")].map(e => e.getBoundingClientRect().width);
document.querySelector("button[data-copy]").click();
setTimeout(() => { document.title = JSON.stringify({wide, boxes, inner: innerWidth, button:
  document.querySelector("button[data-copy]").textContent, ground: getComputedStyle(document.body).backgroundColor,
  charts: document.querySelectorAll(".chart svg").length, alerts: document.querySelectorAll("img").length}); }, 300);
"""


def probed(finding: Finding, folder: Path, *flags: str) -> dict[str, object]:
    text = written(finding)
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    dom = seen(text.replace("</body>", f"<script>{PROBE}</script></body>"), folder, *flags)
    found: dict[str, object] = json.loads(re.search(r"<title>(.*?)</title>", dom).group(1).replace("&quot;", '"'))  # type: ignore[union-attr]
    return found


def test_a_browser_shows_graph_charts_and_copies(tmp_path: Path) -> None:
    found = probed(rich(), tmp_path, "--window-size=1000,900")
    assert found["wide"] == []
    assert found["button"] == "copied"
    assert found["charts"] == 2
    assert len(found["boxes"]) == 3  # type: ignore[arg-type]
    assert min(found["boxes"]) > 40  # type: ignore[call-overload]
    assert found["ground"] == "rgb(255, 255, 255)"


def test_it_is_dark_where_one_wants_it_and_fits_a_phone(tmp_path: Path) -> None:
    found = probed(
        rich(), tmp_path, "--window-size=500,900", "--force-dark-mode", "--blink-settings=preferredColorScheme=0"
    )
    assert found["wide"] == []
    assert found["ground"] == "rgb(15, 20, 25)"


def test_the_policy_lets_our_script_run_and_no_other(tmp_path: Path) -> None:
    text = written(evil()).replace("<footer>", "<script>document.title = 'foreign'</script><footer>")
    dom = seen(text.replace('textContent = "copied"', 'textContent = "copied"'), tmp_path)
    assert "<title>foreign" not in dom
    assert "data-copy" in dom
