"""Make docs/terminal.svg from a real run: python docs/picture.py"""

from __future__ import annotations

import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from reducer.delivery import Place, deliver
from reducer.progress import Progress
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from reporters.terminal import print_summary

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = Path("samples/bert_int16_max")


def main() -> None:
    """Run the README's example and record what the terminal shows at its end."""
    console = Console(record=True, width=118, force_terminal=True, file=StringIO(), highlight=False)
    quiet = Progress()
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(inputs=ROOT / SAMPLE / "inputs.npz", output=Path(scratch) / "out")
        with OnnxSession(settings, str(ROOT / SAMPLE / "model.onnx"), quiet, quiet.say) as session:
            finding = session.run()
            assert session.workspace is not None
            finding = deliver(finding, session.workspace, Place(session.host.folder))
    console.print(Text(f"$ onnx-reduce {SAMPLE}/model.onnx --inputs {SAMPLE}/inputs.npz", style="bold"))
    print_summary(finding, console, SAMPLE / "model.reduced")
    console.save_svg(str(ROOT / "docs" / "terminal.svg"), title="onnx-reduce")


if __name__ == "__main__":
    sys.exit(main())
