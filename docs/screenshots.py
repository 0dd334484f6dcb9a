"""Make docs/report-light.png and report-dark.png from a real run in a headless browser: python docs/screenshots.py"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "resnet_relu_clip" / "model.onnx"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]


def main() -> int:
    """Reduce the sample, open its page twice, keep the pictures."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write("needs chromium (apt-get install chromium)\n")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        run = "import sys; from reducer.cli import main; sys.exit(main(sys.argv[1:]))"
        subprocess.run([sys.executable, "-c", run, str(SAMPLE), "--output", str(out), "--quiet"], check=True)
        for name, scheme in (("light", 1), ("dark", 0)):
            picture = ROOT / "docs" / f"report-{name}.png"
            mode = f"--blink-settings=preferredColorScheme={scheme}"
            size = ["--window-size=820,1500", f"--user-data-dir={scratch}/profile-{name}"]
            command = [browser, *FLAGS, *size, mode, f"--screenshot={picture}", f"file://{out}/report.html"]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
    return 0


if __name__ == "__main__":
    sys.exit(main())
