"""Where the nodes of a graph stand in a picture: layered layout by fast-sugiyama, drawn by a template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reducer.finding import GraphNode

BOX_HEIGHT, ROW, GAP, MARGIN = 44.0, 84.0, 26.0, 12.0
CHARACTER, LONGEST = 7.4, 22
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A node or, with an empty `name`, a tensor that comes from outside; `x`, `y` are its middle."""

    x: float
    y: float
    width: float
    label: str
    name: str
    kept: bool

    @property
    def left(self) -> float:
        """The left edge."""
        return self.x - self.width / 2


@dataclass(frozen=True)
class Picture:
    """A drawing of `width` x `height` pixels; `lines` are SVG paths."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]


def picture(nodes: Sequence[GraphNode], *, inputs: bool = False) -> Picture | None:
    """The nodes, in program order, and the edges between them; with `inputs` also the tensors that nobody makes."""
    if not nodes:
        return None
    labels = [(short(node.op_type), short(node.name), node.kept) for node in nodes]
    edges = _edges(nodes)
    if inputs:
        made = {name for node in nodes for name in node.outputs}
        outside = dict.fromkeys(name for node in nodes for name in node.inputs if name and name not in made)
        start = len(nodes)
        edges += [
            (start + number, target)
            for number, name in enumerate(outside)
            for target, node in enumerate(nodes)
            if name in node.inputs
        ]
        labels += [(short(name), "", False) for name in outside]
    widest = max(_width(label, name) for label, name, _ in labels)
    spots, lines = _layout(len(labels), edges, widest + GAP)
    right, bottom = max(x for x, _ in spots.values()), max(y for _, y in spots.values())
    shift = (widest / 2 + MARGIN, BOX_HEIGHT / 2 + MARGIN)
    boxes = tuple(
        Box(spots[n][0] + shift[0], spots[n][1] + shift[1], _width(label, name), label, name, kept)
        for n, (label, name, kept) in enumerate(labels)
    )
    paths = tuple(_path([(x + shift[0], y + shift[1]) for x, y in line]) for line in lines)
    return Picture(right + widest + 2 * MARGIN, bottom + BOX_HEIGHT + 2 * MARGIN, boxes, paths)


def short(text: str) -> str:
    """The end of a long name: that is where names of nodes differ."""
    return text if len(text) <= LONGEST else "…" + text[1 - LONGEST :]


def _width(label: str, name: str) -> float:
    return max(56.0, CHARACTER * max(len(label), len(name)) + 20)


def _edges(nodes: Sequence[GraphNode]) -> list[tuple[int, int]]:
    """Edges from earlier to later nodes only: a broken model may hold cycles, which the layout does not survive."""
    found: dict[tuple[int, int], None] = {}
    last: dict[str, int] = {}
    for target, node in enumerate(nodes):
        for name in node.inputs:
            if name in last:
                found[(last[name], target)] = None
        last |= {name: target for name in node.outputs if name}
    return list(found)


def _layout(count: int, edges: Sequence[tuple[int, int]], spacing: float) -> tuple[dict[int, Point], list[list[Point]]]:
    """Spots by node, and for every edge the points that it passes."""
    from fast_sugiyama import from_edges

    # Numbers without gaps, so that those of the bends which the layout adds cannot be taken for nodes.
    joined = sorted({end for edge in edges for end in edge})
    number = {node: place for place, node in enumerate(joined)}
    spots: dict[int, Point] = {}
    lines: list[list[Point]] = []
    offset = 0.0
    numbered = [(number[a], number[b]) for a, b in edges]
    for positions, width, _, drawn in from_edges(numbered, vertex_spacing=spacing, dummy_vertices=True):
        top = max(y for _, (_, y) in positions)
        left = min(x for _, (x, _) in positions)
        here = {int(n): (x - left + offset, (top - y) / spacing * ROW) for n, (x, y) in positions}
        spots |= {joined[n]: spot for n, spot in here.items() if n < len(joined)}
        lines += _lines([(int(a), int(b)) for a, b in drawn or ()], here, len(joined))
        offset += width + spacing
    for node in range(count):
        if node not in spots:
            spots[node] = (offset, 0.0)
            offset += spacing
    return spots, lines


def _lines(drawn: Sequence[tuple[int, int]], spots: Mapping[int, Point], real: int) -> list[list[Point]]:
    onward = defaultdict(list)
    for source, target in drawn:
        onward[source].append(target)
    found = []
    for source in [n for n in onward if n < real]:
        for target in onward[source]:
            points = [spots[source], spots[target]]
            while target >= real:
                target = onward[target][0]
                points.append(spots[target])
            found.append(points)
    return found


def _path(points: Sequence[Point]) -> str:
    """A smooth line from below the first point to above the last one."""
    (x, y), (end_x, end_y) = points[0], points[-1]
    stops = [(x, y + BOX_HEIGHT / 2), *points[1:-1], (end_x, end_y - BOX_HEIGHT / 2 - 4)]
    parts = [f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"]
    for (ax, ay), (bx, by) in pairwise(stops):
        middle = (ay + by) / 2
        parts.append(f"C{ax:.1f} {middle:.1f} {bx:.1f} {middle:.1f} {bx:.1f} {by:.1f}")
    return "".join(parts)
