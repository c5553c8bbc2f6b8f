"""A picture in the making: shapes with soft edges laid one over the other.

All pixels are computed with sums, products, quotients and square roots, which every
machine rounds alike. So the same numbers give the same picture everywhere.
"""

import numpy as np

SIDE = 128  # of the canvas in pixels; pictures are made smaller by averaging
HALF = SIDE / 2  # pixels in a unit: the canvas reaches from -1 to 1 both ways

Box = tuple[slice, slice]  # rows and columns of a canvas
WHOLE: Box = (slice(0, SIDE), slice(0, SIDE))


class Canvas:
  """Colours [3, SIDE, SIDE] float32, each 0 to 1 unless a light is strong."""

  def __init__(self):
    self.colour = np.zeros((3, SIDE, SIDE), np.float32)

  def paint(self, box: Box, cover: np.ndarray, colour: np.ndarray) -> None:
    """Lays a colour over a part of the canvas.

    Args:
      box: The part, h x w pixels.
      cover: Share of each pixel that is covered, [h, w] in 0 to 1.
      colour: The colour [3], or that of each pixel [3, h, w].
    """
    below = self.colour[:, box[0], box[1]]
    below += cover * (as_planes(colour) - below)

  def darken(self, box: Box, factor: np.ndarray) -> None:
    """Multiplies a part of the canvas by a factor [h, w] that is not negative."""
    self.colour[:, box[0], box[1]] *= factor

  def shrink(self, side: int) -> np.ndarray:
    """The picture at `side` pixels, by averaging: [side, side, 3] float32."""
    step = SIDE // side
    rows = self.colour[:, ::step]
    for i in range(1, step):  # one by one, so that the order of the sums is known
      rows = rows + self.colour[:, i::step]
    pixels = rows[..., ::step]
    for i in range(1, step):
      pixels = pixels + rows[..., i::step]
    return (pixels / (step * step)).transpose(1, 2, 0)


def as_planes(colour: np.ndarray) -> np.ndarray:
  """A colour [3] as [3, 1, 1] float32; [3, h, w] stays what it is."""
  colour = np.asarray(colour, np.float32)
  return colour[:, None, None] if colour.ndim == 1 else colour


def unit(values: np.ndarray) -> np.ndarray:
  """The values cut to 0 to 1."""
  return np.minimum(np.maximum(values, 0.0), 1.0)


def edge(distance: np.ndarray, softness: float = 0.0) -> np.ndarray:
  """Share of each pixel that is inside.

  Args:
    distance: Distance to an outline in units, positive inside.
    softness: Width of the edge in units; a pixel at least.
  """
  return unit(distance * (1 / max(softness, 1 / HALF)) + 0.5)


def outline(level: np.ndarray, softness: float = 0.0) -> np.ndarray:
  """Share of each pixel that is inside, for a function that is no distance.

  Args:
    level: Any smooth function [h, w], positive inside.
    softness: Width of the edge in units; a pixel at least.
  """
  down, right = slopes(level)
  steepness = np.sqrt(down * down + right * right) + 1e-6
  return unit(level / steepness * (1 / max(softness * HALF, 1.0)) + 0.5)


def slopes(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Differences of a function [h, w] from pixel to pixel, downwards and rightwards."""
  down, right = np.empty_like(level), np.empty_like(level)
  down[1:-1] = (level[2:] - level[:-2]) * 0.5
  down[0], down[-1] = level[1] - level[0], level[-1] - level[-2]
  right[:, 1:-1] = (level[:, 2:] - level[:, :-2]) * 0.5
  right[:, 0] = level[:, 1] - level[:, 0]
  right[:, -1] = level[:, -1] - level[:, -2]
  return down, right


def bump(u, v, centre: tuple, reach: tuple[float, float]) -> np.ndarray:
  """A soft hill: 1 at its centre, which may differ by pixel, 0 from an ellipse on."""
  a, b = (u - centre[0]) / reach[0], (v - centre[1]) / reach[1]
  rest = np.maximum(1.0 - a * a - b * b, 0.0)
  return rest * rest


def ellipse(u, v, centre: tuple[float, float], radii: tuple[float, float]):
  """Distance to an ellipse in units, to first order, positive inside."""
  a, b = (u - centre[0]) / radii[0], (v - centre[1]) / radii[1]
  radius = np.sqrt(a * a + b * b)
  return (1.0 - radius) * min(radii)


def step(values: np.ndarray, low: float, high: float) -> np.ndarray:
  """A smooth step: 0 below `low`, 1 above `high`."""
  t = unit((values - low) / (high - low))
  return t * t * (3.0 - 2.0 * t)


def wave(values: np.ndarray) -> np.ndarray:
  """A smooth wave of period 1 between -1 and 1, made of parabolas."""
  t = values - np.floor(values)
  s = 2.0 * t - 1.0
  return 4.0 * s * (np.abs(s) - 1.0)


def turn(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """How far round a point lies: 0 to 4, in quarter turns, nearly even in angle."""
  total = np.abs(u) + np.abs(v) + 1e-6
  along = u / total
  return np.where(v < 0, 1.0 + along, 3.0 - along)
