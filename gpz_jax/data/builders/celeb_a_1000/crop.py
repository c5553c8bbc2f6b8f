"""Faces of CelebA at any size, cut out of aligned images or of those in the wild."""

import dataclasses
import math

import numpy as np
import PIL.Image

from gpz_jax import types

# The square of an aligned image of 178x218 that is kept. The middle of the eyes is its
# centre, and the face fills 0.65 of its width (docs/paper.md#faces-and-dogs).
LEFT, TOP, SIDE = 21, 44, 134


@dataclasses.dataclass(frozen=True)
class Similarity:
  """A turn, a scale and a shift of the plane, as z -> factor z + shift."""

  factor: complex = 1.0 + 0.0j
  shift: complex = 0.0j

  def __call__(self, x: float, y: float) -> tuple[float, float]:
    """Where a point goes."""
    z = self.factor * complex(x, y) + self.shift
    return z.real, z.imag


def fit(source: np.ndarray, target: np.ndarray) -> Similarity:
  """The similarity that takes points nearest to others, by least squares.

  Args:
    source: Points [n, 2] as x and y.
    target: Points [n, 2] that they belong to.
  """
  a, b = (points @ np.array([1, 1j]) for points in (source, target))
  centred = a - a.mean()
  factor = np.vdot(centred, b) / max(np.vdot(centred, centred).real, 1e-9)
  return Similarity(complex(factor), complex(b.mean() - factor * a.mean()))


def cut(
  picture: PIL.Image.Image, size: int, place: Similarity, where: str
) -> PIL.Image.Image:
  """The square about a face, by bicubic interpolation without aliases.

  Beyond the edges the picture goes on as its outermost pixels.

  Args:
    picture: The picture, in mode RGB.
    size: Side of the result in pixels.
    place: From points of the aligned image to those of the picture.
    where: Name of the picture in an error.

  Raises:
    InputError: The face lies outside of the picture.
  """
  ends = [place(LEFT + i * SIDE, TOP + j * SIDE) for i in (0, 1) for j in (0, 1)]
  pad = _padding(picture, ends)
  if pad > max(picture.size) or not place.factor:
    raise types.InputError(
      f'{where}: its landmarks lie outside of its {picture.width}x{picture.height}'
      ' pixels; fetch images and landmarks that belong together'
    )
  if pad:
    pixels = np.asarray(picture)
    picture = PIL.Image.fromarray(
      np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), 'edge')
    )
  # Where the picture is larger than the result, several of its pixels are averaged.
  times = max(1, math.ceil(abs(place.factor) * SIDE / size))
  step = place.factor * SIDE / (times * size)
  x, y = place(LEFT, TOP)
  return picture.transform(
    (times * size, times * size),
    PIL.Image.Transform.AFFINE,
    (step.real, -step.imag, x + pad, step.imag, step.real, y + pad),
    PIL.Image.Resampling.BICUBIC,
  ).reduce(times)


def _padding(picture: PIL.Image.Image, ends: list[tuple[float, float]]) -> int:
  """How many pixels some points lie outside of a picture at most; 0 for none."""
  beyond = [
    max(-value, value - length)
    for point in ends
    for value, length in zip(point, picture.size, strict=True)
  ]
  return max(0, math.ceil(max(beyond)))
