"""What the repro script of a PyTorch model needs, from the report of its proof (step 10 of the data path)."""

from __future__ import annotations

from reducer.finding import Feed, Probe, Reproduction
from reducer.signature import FailureSignature, literal_fragments
from reducer.torch_case import Report, TorchCase, code_of


def reproduction(case: TorchCase, signature: FailureSignature, seen: Report, text: Report) -> Reproduction:
    """All that the script needs."""
    options = {k: str(case.model.subject[k]) for k in ("exporter", "opset") if case.model.subject.get(k)}
    options |= {k: str(v) for k, v in (("dynamic_shapes", text.get("shapes")), ("strict", text.get("strict"))) if v}
    message = str(seen.get("message", ""))
    rtol, atol = case.model.subject["default"]
    feeds = tuple(
        Feed(name, dtype.removeprefix("torch."), tuple(shape)) for name, dtype, shape in text.get("facts", ())
    )
    return Reproduction(
        form=f"torch-{_form(signature, seen)}",
        stage=signature.stage,
        probes=(Probe("torch.onnx", options), Probe("onnxruntime", _runtime(case))),
        error_class=str(seen.get("error", "")),
        fragments=_fragments(signature, seen, message),
        signal=signature.kind if seen.get("died") else "",
        timeout_seconds=case.model.seconds,
        rtol=rtol,
        atol=atol,
        mismatch=str(seen.get("kind", "")),
        model_code=code_of(text),
        made=str(text.get("made", "")),
        single=bool(text.get("single")),
        inputs_code=tuple((name, code) for name, code in text["inputs"]),
        feeds=feeds,
        expected_text=str(seen.get("expected", "")) or f"the module is exported and passes {signature.stage}",
        actual_text=str(seen.get("actual", "")) or message.strip()[:1500] or signature.detail,
    )


def _runtime(case: TorchCase) -> dict[str, str]:
    subject = case.model.subject
    return {"opt_level": str(subject["opt_level"]), "provider": str(subject["provider"])}


def _form(signature: FailureSignature, seen: Report) -> str:
    if seen.get("died"):
        return "death"
    if seen.get("hung"):
        return "hang"
    return {"convert": "convert", "compare": "mismatch"}.get(signature.stage, "runtime")


def _fragments(signature: FailureSignature, seen: Report, message: str) -> tuple[str, ...]:
    """Pieces of the chain of messages that every occurrence holds: the operator, and fixed words."""
    if signature.stage == "convert":
        target = str(seen.get("target") or "").removesuffix(".default")
        if target:
            return (target,)
        return literal_fragments(signature.detail, message)
    return literal_fragments(signature.detail, message)
