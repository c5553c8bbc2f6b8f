"""Where the parts of a head lie on the canvas.

`u, v` are coordinates of the upright head, v down, the middle of the face at 0, 0.
`s, t` are those of its surface: they turn with it, as if the head were an egg.
"""

import math

import numpy as np

from gpz_jax.data.builders.portraits import canvas
from gpz_jax.data.builders.portraits.people import Person
from gpz_jax.data.builders.portraits.scenes import Scene

_MIDDLE = (0.0, -0.06)  # of the face on the canvas
_PIVOT = 0.62  # how far below the middle the head tilts
_EGG = (1.18, 1.3)  # half axes of the egg, as shares of the face's


class View:
  """A head in a scene: coordinates of all pixels, [SIDE, SIDE] float32 each."""

  def __init__(self, person: Person, scene: Scene):
    self.person, self.scene = person, scene
    axis = (np.arange(canvas.SIDE, dtype=np.float32) + 0.5) / canvas.HALF - 1
    self.x = axis[None] - scene.shift[0] - _MIDDLE[0]
    self.y = axis[:, None] - scene.shift[1] - _MIDDLE[1]
    cos, sin = math.cos(scene.tilt) / scene.zoom, math.sin(scene.tilt) / scene.zoom
    low = self.y - _PIVOT * scene.zoom
    self.u = cos * self.x + sin * low
    self.v = cos * low - sin * self.x + _PIVOT
    self._egg = (
      _EGG[0] * person.width,
      _EGG[1] * max(person.crown, person.chin),
    )
    a, b = self.u / self._egg[0], self.v / self._egg[1]
    # The front of the egg, which bends away towards its edge and then stays flat.
    c = np.sqrt(np.maximum(1.0 - a * a - b * b, 0.04))
    self.normal = (a, b, c)
    sin_yaw, cos_yaw = math.sin(scene.yaw), math.cos(scene.yaw)
    sin_pitch, cos_pitch = math.sin(scene.pitch), math.cos(scene.pitch)
    a, c = cos_yaw * a - sin_yaw * c, cos_yaw * c + sin_yaw * a
    b = cos_pitch * b - sin_pitch * c
    self.s, self.t = a * self._egg[0], b * self._egg[1]

  def place(self, s: float, t: float) -> tuple[float, float]:
    """Where a point of the surface is seen: u, v."""
    scene = self.scene
    a, b = s / self._egg[0], t / self._egg[1]
    c = math.sqrt(max(1 - a * a - b * b, 0.04))
    b, c = (
      math.cos(scene.pitch) * b + math.sin(scene.pitch) * c,
      math.cos(scene.pitch) * c - math.sin(scene.pitch) * b,
    )
    a = math.cos(scene.yaw) * a + math.sin(scene.yaw) * c
    return a * self._egg[0], b * self._egg[1]

  def around(self, s: float, t: float, reach: float) -> canvas.Box:
    """The part of the canvas about a point of the surface.

    Args:
      s: The point.
      t: The point.
      reach: How far the part reaches each way, in units.
    """
    u, v = self.place(s, t)
    return self.part(u - reach, u + reach, v - reach, v + reach)

  def part(self, left: float, right: float, top: float, bottom: float) -> canvas.Box:
    """The smallest part of the canvas that holds a rectangle of the upright head."""
    scene = self.scene
    cos, sin = math.cos(scene.tilt) * scene.zoom, math.sin(scene.tilt) * scene.zoom
    corners = [
      (cos * u - sin * (v - _PIVOT), sin * u + cos * (v - _PIVOT))
      for u in (left, right)
      for v in (top, bottom)
    ]
    across, down = zip(*corners, strict=True)
    across = [x + scene.shift[0] + _MIDDLE[0] for x in across]
    down = [y + _PIVOT * scene.zoom + scene.shift[1] + _MIDDLE[1] for y in down]
    return _span(min(down), max(down)), _span(min(across), max(across))

  def body(self, left: float, right: float, top: float) -> canvas.Box:
    """The part of the canvas below `top`, measured from the face's middle."""
    right, left = (x + self.scene.shift[0] + _MIDDLE[0] for x in (right, left))
    return _span(top + self.scene.shift[1] + _MIDDLE[1], 1.0), _span(left, right)

  def head(self, box: canvas.Box, grow: np.ndarray | float = 0.0) -> np.ndarray:
    """A level that is positive within the outline of the head.

    Args:
      box: The part of the canvas.
      grow: By how much the outline is wider, in units; [h, w] if it differs.
    """
    person, yaw = self.person, math.sin(self.scene.yaw)
    u, v = self.u[box], self.v[box]
    low = np.maximum(v, 0.0) * (1 / (person.chin + grow))
    high = np.minimum(v, 0.0) * (1 / (person.crown + grow))
    # The chin goes with the turn, the back of the head against it.
    u = u - 0.16 * yaw * low * low + 0.1 * yaw * high * high
    half = (person.width + grow) * (1.0 - person.taper * low * low)
    half = np.where(half == 0, np.float32(1e-6), half)  # far below the chin
    a, b = (u / half) * (u / half), low * low + high * high
    square = np.where(v > 0, np.float32(person.square**2), np.float32(0.16))
    level = 1.0 - a - b + square * a * b
    return np.minimum(level, 1.0 - np.maximum(a, b))  # it would rise again far away


def _span(low: float, high: float) -> slice:
  start = math.floor((low + 1) * canvas.HALF) - 1
  stop = math.ceil((high + 1) * canvas.HALF) + 1
  start = min(max(start, 0), canvas.SIDE - 4)
  return slice(start, min(max(stop, start + 4), canvas.SIDE))


def lit(scene: Scene, normal: tuple, soft: float = 0.5) -> np.ndarray:
  """How bright a surface is.

  Args:
    scene: Gives the light.
    normal: Its directions right, down and to the viewer, of any length.
    soft: How far light reaches round a body, 0 to 1.

  Returns:
    Factors of the colour, about 1 where it faces the light.
  """
  a, b, c = normal
  light = [float(number) for number in scene.light]
  length = np.sqrt(a * a + b * b + c * c)
  toward = (light[0] * a + light[1] * b + light[2] * c) / length
  wrapped = np.maximum(toward + soft, 0.0) / (1 + soft)
  return scene.ambient + scene.diffuse * wrapped
