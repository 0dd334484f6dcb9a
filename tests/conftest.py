"""Fixtures: one warm host for the whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reducer.sources.tensorflow import TensorFlowModel
from reducer.worker.host import Host, HostOptions

ROOT = Path(__file__).resolve().parents[1]
# The worker must find the fakes.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Host(HostOptions(preload=("numpy", "onnx"), memory=2 << 30)) as host:
        yield host


@pytest.fixture(scope="session")
def tf_host() -> Iterator[Host]:
    """TensorFlow is imported once, in the zygote of this host."""
    with Host(HostOptions(preload=TensorFlowModel.preload)) as host:
        yield host


@pytest.fixture(scope="session")
def faulty_tf_host() -> Iterator[Host]:
    """As tf_host, with the broken handlers of tests.fakes.tf_faults."""
    with Host(HostOptions(preload=(*TensorFlowModel.preload, "tests.fakes.tf_faults"))) as host:
        yield host
