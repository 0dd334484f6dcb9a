"""What the inspectors of the onnx package say, as a finding needs it."""

from __future__ import annotations

import pytest
from onnx.shape_inference import InferenceError

from reducer.backends.onnx_shape_inference import OnnxShapeInference
from tests.models import model_of


def test_inference_tells_its_first_error_and_not_those_that_follow_from_it() -> None:
    model = model_of("g (float[2] x, float[3] z) => (float[2] y) { a = Add(x, z) b = Neg(a) y = Relu(b) }")
    with pytest.raises(InferenceError) as caught:
        OnnxShapeInference().open(model.SerializeToString(), {})
    assert "Add" in str(caught.value)
    assert "Relu" not in str(caught.value)
    assert "Neg" not in str(caught.value)
