"""Handlers of tf2onnx that are broken on purpose, named in FAULTS: imported by a zygote, every worker has them.

The operators are ones that the tests use for nothing else.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from tf2onnx.handler import tf_op

WRONG, WRONG_TOO, KILLS, HANGS, RAISES = "Rint", "Asinh", "Sinh", "Cosh", "Log1p"


class Faulty:
    """Registered for an operator in place of tf2onnx's own handler, for every opset."""

    @staticmethod
    def negates(context: Any, node: Any, **_: Any) -> None:
        """Rint becomes Neg: wrong by about twice the value."""
        node.type = "Neg"

    @staticmethod
    def takes_absolute_value(context: Any, node: Any, **_: Any) -> None:
        """Another wrong output of the same kind."""
        node.type = "Abs"

    @staticmethod
    def kills(context: Any, node: Any, **_: Any) -> None:
        """The process ends while it converts."""
        os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def hangs(context: Any, node: Any, **_: Any) -> None:
        """The conversion never ends."""
        time.sleep(1e6)

    @staticmethod
    def raises(context: Any, node: Any, **_: Any) -> None:
        """As handlers do that meet what they do not know."""
        raise ValueError(f"cannot convert {node.name}")


FAULTS = {
    WRONG: Faulty.negates,
    WRONG_TOO: Faulty.takes_absolute_value,
    KILLS: Faulty.kills,
    HANGS: Faulty.hangs,
    RAISES: Faulty.raises,
}

for name, function in FAULTS.items():
    # The latest version wins, whatever opset is asked for up to it: so under every one that there is.
    for version in range(1, 19):
        tf_op.register_handler(function, version, [name], "", {})
