"""A package index in a folder: tiny wheels, so that no test installs anything from a network.

numpy, onnx and ml_dtypes are wheels that only point at the real ones of this environment; onnxruntime is a fake whose
releases fail on the operators that one names.
"""

from __future__ import annotations

import hashlib
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy
import pytest

REAL = str(Path(numpy.__file__).resolve().parents[1])

RUNTIME = '''"""A runtime that refuses some operators and has the reference evaluator do the rest."""
import os, signal
__version__ = {version!r}
BAD, HOW, NEWEST = {bad!r}, {how!r}, {newest!r}

class Fail(Exception):
    pass

class SessionOptions:
    graph_optimization_level = log_severity_level = intra_op_num_threads = inter_op_num_threads = 0

class GraphOptimizationLevel:
    ORT_DISABLE_ALL = ORT_ENABLE_BASIC = ORT_ENABLE_EXTENDED = ORT_ENABLE_ALL = 0

def get_available_providers():
    return ["CPUExecutionProvider"]

class Value:
    def __init__(self, value):
        self.name, self.type = value.name, "tensor(float)"

class InferenceSession:
    def __init__(self, program, options=None, providers=()):
        import onnx
        self.model = onnx.load_from_string(program) if isinstance(program, bytes) else onnx.load(program)
        if any(opset.version > NEWEST for opset in self.model.opset_import):
            raise Fail("opset is too new for this release")
        for node in self.model.graph.node:
            if node.op_type in BAD:
                if HOW == "dies":
                    os.kill(os.getpid(), signal.SIGSEGV)
                if HOW != "wrong":
                    raise Fail("this fake %s cannot do %s (node %s)" % (__version__, node.op_type, node.name))

    def get_inputs(self):
        return [Value(value) for value in self.model.graph.input]

    def get_outputs(self):
        return [Value(value) for value in self.model.graph.output]

    def run(self, names, feeds):
        from onnx.reference import ReferenceEvaluator
        made = ReferenceEvaluator(self.model).run(names, feeds)
        wrong = HOW == "wrong" and any(node.op_type in BAD for node in self.model.graph.node)
        return [value + 1 for value in made] if wrong else made
'''


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str], requires: tuple[str, ...] = ()) -> Path:
    """Write name-version-py3-none-any.whl with these files."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {item}\n" for item in requires)
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in contents.items():
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    target = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return target


def runtime(
    folder: Path, version: str, bad: tuple[str, ...] = (), how: str = "raises", newest: int = 99, *, extra: str = ""
) -> None:
    """A release of the fake onnxruntime that fails on the operators `bad`."""
    text = RUNTIME.format(version=version, bad=bad, how=how, newest=newest) + extra
    wheel(folder, "onnxruntime", version, {"onnxruntime/__init__.py": text})


def make_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index with what every environment needs, and a cache of its own; pip and uv see nothing else."""
    folder.mkdir()
    for name in ("numpy", "onnx", "ml_dtypes"):
        wheel(folder, name, metadata.version(name), {f"_real_{name}.pth": REAL + "\n"})
    for variable, value in {
        "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder),
        "UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(folder),
        "ONNX_REDUCE_CACHE": str(folder.parent / "cache"),
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    return folder
