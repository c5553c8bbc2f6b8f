"""Fifty kinds of shape as signed distances, the most distinct ones first.

A shape is a function of coordinates (u, v) in its own frame, x to the right and y
down: positive inside, negative outside, zero on the outline. All fit the unit disc.
"""

import functools
from collections.abc import Callable

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]

GRID = 512  # cells along a side of a distance map
EXTENT = 1.25  # the map covers [-EXTENT, EXTENT] both ways


def disc(x: float, y: float, radius: float) -> Shape:
  """A disc about (x, y)."""
  return lambda u, v: radius - np.hypot(u - x, v - y)


def polar(radius: Callable[[np.ndarray], np.ndarray]) -> Shape:
  """The region within `radius(angle)` of the origin."""
  return lambda u, v: radius(np.arctan2(v, u)) - np.hypot(u, v)


def polygon(*points: tuple[float, float]) -> Shape:
  """The inside of a simple polygon, by the even-odd rule; exact distances."""

  def distance(u, v):
    nearest = np.full(u.shape, np.inf, np.float32)
    inside = np.zeros(u.shape, bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
      dx, dy = x1 - x0, y1 - y0
      along = np.clip(((u - x0) * dx + (v - y0) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
      offset = np.hypot(u - x0 - along * dx, v - y0 - along * dy)
      nearest = np.minimum(nearest, offset)
      if dy:
        inside ^= ((y0 > v) != (y1 > v)) & (u < x0 + (v - y0) * dx / dy)
    return np.where(inside, nearest, -nearest)

  return distance


def box(x0: float, y0: float, x1: float, y1: float) -> Shape:
  """An axis-parallel rectangle."""
  return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def regular(sides: int, radius: float = 1.0) -> Shape:
  """A regular polygon with a corner at the top."""
  return star(sides, radius, radius * np.cos(np.pi / sides))


def star(points: int, outer: float, inner: float) -> Shape:
  """A star of straight edges with a point at the top."""
  angle = np.arange(2 * points) * np.pi / points
  radius = np.where(np.arange(2 * points) % 2, inner, outer)
  corners = np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=-1)
  return polygon(*map(tuple, corners.tolist()))


def union(*parts: Shape) -> Shape:
  """All points in any part."""
  return lambda u, v: functools.reduce(np.maximum, (part(u, v) for part in parts))


def overlap(*parts: Shape) -> Shape:
  """All points in every part."""
  return lambda u, v: functools.reduce(np.minimum, (part(u, v) for part in parts))


def cut(shape: Shape, *holes: Shape) -> Shape:
  """The shape without the holes."""
  return lambda u, v: np.minimum(shape(u, v), -union(*holes)(u, v))


def turned(shape: Shape, degrees: float) -> Shape:
  """The shape turned about the origin."""
  cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
  return lambda u, v: shape(cos * u + sin * v, cos * v - sin * u)


def around(shape: Shape, count: int) -> Shape:
  """`count` copies of the shape, evenly turned about the origin."""
  return union(*(turned(shape, 360 * i / count) for i in range(count)))


def _petals(count: int, depth: float) -> Shape:
  return polar(lambda angle: 1 - depth + depth * np.cos(count * (angle + np.pi / 2)))


def _gear(teeth: int) -> Shape:
  tooth = polygon((-0.16, 0), (0.16, 0), (0.11, -1), (-0.11, -1))
  return union(disc(0, 0, 0.74), around(tooth, teeth))


def _spiral(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  radius, turn = np.hypot(u, v), np.arctan2(v, u) / (2 * np.pi)
  pitch, width = 0.5, 0.13
  nearest = (radius / pitch - turn + 0.5) % 1 - 0.5
  arm = width - np.abs(nearest) * pitch
  return np.minimum(arm, 0.95 - radius)


_RING = cut(disc(0, 0, 0.95), disc(0, 0, 0.55))
_SPOKE = box(-0.17, -1, 0.17, 0.1)

KINDS: dict[str, Shape] = {
  'disc': disc(0, 0, 0.85),
  'triangle': regular(3),
  'plus': union(box(-0.3, -0.92, 0.3, 0.92), box(-0.92, -0.3, 0.92, 0.3)),
  'ring': _RING,
  'star': star(5, 1.0, 0.4),
  'bar': box(-0.97, -0.24, 0.97, 0.24),
  'square': box(-0.7, -0.7, 0.7, 0.7),
  'crescent': cut(disc(0, 0, 0.95), disc(0.45, 0, 0.75)),
  'trefoil': _petals(3, 0.42),
  'arrow': polygon(
    (-0.22, 0.95),
    (-0.22, 0.05),
    (-0.75, 0.05),
    (0, -0.98),
    (0.75, 0.05),
    (0.22, 0.05),
    (0.22, 0.95),
  ),
  'hourglass': polygon((-0.7, -0.7), (0.7, -0.7), (-0.7, 0.7), (0.7, 0.7)),
  'frame': cut(box(-0.7, -0.7, 0.7, 0.7), box(-0.38, -0.38, 0.38, 0.38)),
  'heart': union(
    disc(-0.38, -0.3, 0.44),
    disc(0.38, -0.3, 0.44),
    polygon((-0.74, -0.05), (0, -0.5), (0.74, -0.05), (0, 0.9)),
  ),
  'semicircle': overlap(disc(0, 0.35, 0.93), box(-1, -1, 1, 0.35)),
  'ell': union(box(-0.62, -0.8, -0.18, 0.75), box(-0.62, 0.3, 0.6, 0.75)),
  'spark': star(4, 1.0, 0.28),
  'ellipse': lambda u, v: 1 - np.hypot(u / 0.97, v / 0.48),
  'gear': _gear(8),
  'tee': union(box(-0.75, -0.7, 0.75, -0.25), box(-0.22, -0.5, 0.22, 0.85)),
  'wedge': cut(disc(0, 0, 0.92), polygon((0, 0), (1.5, -1.3), (1.5, 1.3))),
  'aitch': union(
    box(-0.7, -0.7, -0.32, 0.7),
    box(0.32, -0.7, 0.7, 0.7),
    box(-0.5, -0.18, 0.5, 0.18),
  ),
  'rosette': _petals(5, 0.3),
  'bullseye': union(_RING, disc(0, 0, 0.28)),
  'dumbbell': union(
    disc(-0.58, 0, 0.4), disc(0.58, 0, 0.4), box(-0.5, -0.14, 0.5, 0.14)
  ),
  'chevron': polygon(
    (-0.8, 0.0), (0, -0.8), (0.8, 0.0), (0.8, 0.6), (0, -0.2), (-0.8, 0.6)
  ),
  'pentagon': regular(5, 0.95),
  'drop': union(disc(0, 0.35, 0.57), polygon((-0.54, 0.18), (0, -0.98), (0.54, 0.18))),
  'asterisk': around(box(-0.13, -1, 0.13, 0.1), 6),
  'wye': around(_SPOKE, 3),
  'horseshoe': union(
    cut(disc(0, -0.15, 0.75), disc(0, -0.15, 0.37), box(-1, -0.15, 1, 1)),
    box(-0.75, -0.2, -0.37, 0.65),
    box(0.37, -0.2, 0.75, 0.65),
  ),
  'trio': around(disc(0, -0.55, 0.4), 3),
  'zed': polygon(
    (-0.68, -0.72),
    (0.68, -0.72),
    (0.68, -0.36),
    (-0.1, 0.36),
    (0.68, 0.36),
    (0.68, 0.72),
    (-0.68, 0.72),
    (-0.68, 0.36),
    (0.1, -0.36),
    (-0.68, -0.36),
  ),
  'sunburst': star(10, 1.0, 0.55),
  'slot': cut(disc(0, 0, 0.92), box(-0.58, -0.17, 0.58, 0.17)),
  'lens': overlap(disc(-0.45, 0, 0.98), disc(0.45, 0, 0.98)),
  'stairs': polygon(
    (-0.75, 0.7),
    (-0.75, 0.22),
    (-0.25, 0.22),
    (-0.25, -0.25),
    (0.25, -0.25),
    (0.25, -0.7),
    (0.75, -0.7),
    (0.75, 0.7),
  ),
  'parallels': union(box(-0.8, -0.62, 0.8, -0.18), box(-0.8, 0.18, 0.8, 0.62)),
  'spiral': _spiral,
  'quatrefoil': _petals(4, 0.3),
  'delta': cut(regular(3), regular(3, 0.5)),
  'mushroom': union(
    overlap(disc(0, 0.0, 0.85), box(-1, -1, 1, 0.0)), box(-0.26, -0.1, 0.26, 0.85)
  ),
  'fish': union(
    lambda u, v: 0.45 * (1 - np.hypot((u - 0.25) / 0.7, v / 0.45)),
    polygon((-0.2, 0), (-0.92, -0.45), (-0.92, 0.45)),
  ),
  'key': union(
    cut(disc(-0.55, 0, 0.43), disc(-0.55, 0, 0.2)),
    box(-0.2, -0.12, 0.97, 0.12),
    box(0.4, 0, 0.58, 0.42),
    box(0.75, 0, 0.93, 0.42),
  ),
  'comb': union(
    box(-0.75, -0.65, 0.75, -0.25),
    *(box(x - 0.15, -0.4, x + 0.15, 0.7) for x in (-0.6, 0.0, 0.6)),
  ),
  'pinwheel': around(polygon((0, 0), (0, -0.97), (0.6, -0.6)), 4),
  'keyhole': cut(
    disc(0, 0, 0.95),
    disc(0, -0.22, 0.3),
    polygon((-0.13, -0.2), (0.13, -0.2), (0.28, 0.6), (-0.28, 0.6)),
  ),
  'kite': polygon((0, -0.98), (0.5, -0.25), (0, 0.98), (-0.5, -0.25)),
  'bolt': polygon(
    (0.3, -0.98), (-0.5, 0.15), (-0.05, 0.15), (-0.3, 0.98), (0.5, -0.2), (0.05, -0.2)
  ),
  'quartet': union(*(disc(x, y, 0.35) for x in (-0.45, 0.45) for y in (-0.45, 0.45))),
  'house': polygon(
    (-0.6, 0.75),
    (-0.6, -0.1),
    (0, -0.9),
    (0.6, -0.1),
    (0.6, 0.75),
    (0.2, 0.75),
    (0.2, 0.25),
    (-0.2, 0.25),
    (-0.2, 0.75),
  ),
}


@functools.cache
def distance_map(kind: str) -> np.ndarray:
  """Signed distance to the outline of a kind: [GRID, GRID] float32, v then u.

  It is exact to first order at the outline, which is all that antialiasing needs.
  """
  axis = np.linspace(-EXTENT, EXTENT, GRID, dtype=np.float32)
  u, v = np.meshgrid(axis, axis)
  field = KINDS[kind](u, v).astype(np.float32)
  down, right = np.gradient(field, axis, axis)
  return field / np.maximum(np.hypot(down, right), 0.3)
