"""The two charts of the HTML page, drawn by leather; colours are those of the page (a style sheet sets them)."""

from __future__ import annotations

import re
from collections.abc import Sequence

WIDTH, HEIGHT = 640, 240
_SIZE = re.compile(r'<svg width="(\d+)" height="(\d+)"')


def curve_chart(curve: Sequence[tuple[int, int]], calls: int) -> str | None:
    """Nodes of the best so far over oracle calls, as a staircase; None where there was nothing to reduce."""
    if len(curve) < 2:
        return None
    import leather

    points: list[tuple[int, int]] = []
    for call, nodes in curve:
        if points:
            points.append((call, points[-1][1]))
        points.append((call, nodes))
    points.append((max(calls, points[-1][0]), points[-1][1]))
    chart = leather.Chart()
    chart.add_line(points)
    chart.add_x_scale(0, max(1, points[-1][0]))
    chart.add_y_scale(0, max(nodes for _, nodes in points))
    chart.add_x_axis(name="oracle calls")
    chart.add_y_axis(name="nodes")
    return _fluid(chart.to_svg(width=WIDTH, height=HEIGHT))


def difference_chart(histogram: Sequence[tuple[float, int]]) -> str | None:
    """How many elements differ by which power of ten."""
    if not histogram:
        return None
    import leather

    chart = leather.Chart()
    chart.add_columns([(f"1e{power:g}", count) for power, count in histogram])
    chart.add_x_axis(name="absolute difference")
    chart.add_y_axis(name="elements")
    return _fluid(chart.to_svg(width=WIDTH, height=HEIGHT))


def _fluid(svg: str) -> str:
    """As wide as the page lets it be."""
    return _SIZE.sub(r'<svg viewBox="0 0 \1 \2" role="img"', svg, count=1)
