"""Tencent/ncnn: model-convert.md, in its three languages."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import Facts, FormField, Tracker


class Ncnn(Tracker):
    """Conversion of models."""

    name: ClassVar[str] = "ncnn"
    repository: ClassVar[str] = "Tencent/ncnn"
    form: ClassVar[str] = "model-convert.md"
    projects: ClassVar[tuple[str, ...]] = ("ncnn",)
    packages: ClassVar[tuple[str, ...]] = ("ncnn", "pnnx", "onnx", "onnxruntime", "numpy", "python")
    fields: ClassVar[tuple[FormField, ...]] = (
        FormField("## error log | 日志或报错信息 | ログ"),
        FormField("## model | 模型 | モデル"),
        FormField("## how to reproduce | 复现步骤 | 再現方法"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """None is known there."""
        return ()
