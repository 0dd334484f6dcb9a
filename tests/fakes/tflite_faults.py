"""TFLite handlers of tf2onnx that are broken on purpose: imported by a zygote, every worker has them.

The operators are ones that the test models hold for nothing else.
"""

from __future__ import annotations

from typing import Any

from tf2onnx.handler import tf_op

from tests.fakes.tf_faults import Faulty

TENSORFLOW = "com.google.tensorflow"


def takes_absolute_value(context: Any, node: Any, **_: Any) -> None:
    """Ceil becomes Abs: a wrong output."""
    node.type = "Abs"


def gives_up(context: Any, node: Any, **_: Any) -> None:
    """As handlers do that meet what they do not know."""
    raise ValueError(f"cannot convert {node.name}")


FAULTS = {
    "TFL_SIN": Faulty.kills,
    "TFL_COS": Faulty.hangs,
    "TFL_FLOOR": gives_up,
    "TFL_CEIL": takes_absolute_value,
    "TFL_ROUND": Faulty.negates,
}

for name, function in FAULTS.items():
    tf_op.register_handler(function, 0, [name], TENSORFLOW, {})
