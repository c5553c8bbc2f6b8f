"""Images of shapes: the label is the kind, everything else is nuisance."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from gpz_jax.data.builders.shapes import kinds

SIZE = 64
NUM_DRAWS = 16  # uniform numbers that one image takes

_LARGEST = 0.42  # radius of the largest shape, as a share of the side
_CHROMA = 0.22  # how far from grey the colours are, of the channel range


@dataclasses.dataclass(frozen=True)
class Variance:
  """Amplitudes of the nuisances, each in [0, 1]: 0 is none."""

  position: float  # share of the room left and right of the shape
  scale: float  # share by which the smallest shape is smaller than the largest
  rotation: float  # of half a turn, either way
  colour: float  # of hue and brightness; 1 is any hue
  inversion: float  # chance of a dark shape on light ground, times 2
  background: float  # strength of the gradient and of the stripes


VARIANCES = {
  'low': Variance(0.1, 0.1, 0.05, 0.1, 0.0, 0.1),
  'default': Variance(0.6, 0.4, 0.25, 0.5, 0.4, 0.5),
  'high': Variance(1.0, 0.6, 1.0, 1.0, 1.0, 1.0),
}


def render(
  names: Sequence[str], label: np.ndarray, draws: np.ndarray, variance: Variance
) -> np.ndarray:
  """Renders one antialiased image for each label.

  Args:
    names: the kind of each class [K].
    label: [N] integers in [0, K).
    draws: [N, NUM_DRAWS] uniform in [-1, 1]. The same draws under two variances give
      the same scenes, more or less spread.
    variance: amplitudes that the draws are scaled by.

  Returns:
    [N, SIZE, SIZE, 3] uint8.
  """
  draw = iter(draws.astype(np.float32).T)
  axis = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
  x, y = axis[None, None, :], axis[None, :, None]
  coverage = _coverage(names, label, x, y, draw, variance)[:, None]
  ink, paper = _colours(draw, variance)
  image = paper + _pattern(x, y, draw, variance)
  image += coverage * (ink - image)
  levels = np.clip(255 * image + 0.5, 0, 255).astype(np.uint8)
  return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


def _coverage(names, label, x, y, draw, variance: Variance) -> np.ndarray:
  """The share of each pixel that the shape covers: [N, SIZE, SIZE]."""
  radius = _LARGEST * (1 - variance.scale * (1 + next(draw)) / 2)
  centre_x = 0.5 + variance.position * (0.5 - radius) * next(draw)
  centre_y = 0.5 + variance.position * (0.5 - radius) * next(draw)
  angle = np.pi * variance.rotation * next(draw)
  cos, sin = _spread(np.cos(angle) / radius), _spread(np.sin(angle) / radius)
  dx, dy = x - _spread(centre_x), y - _spread(centre_y)
  column, row = _cell(cos * dx + sin * dy), _cell(cos * dy - sin * dx)
  maps = np.stack([kinds.distance_map(name) for name in names])
  cell = (_spread(label) * kinds.GRID + row) * kinds.GRID + column
  distance = maps.reshape(-1)[cell] * _spread(radius * SIZE)  # in pixels
  return np.clip(distance + 0.5, 0, 1)


def _cell(coordinate: np.ndarray) -> np.ndarray:
  """The cell of the distance map that is nearest to a coordinate."""
  scaled = (coordinate / kinds.EXTENT + 1) * ((kinds.GRID - 1) / 2) + 0.5
  return np.clip(scaled, 0, kinds.GRID - 1).astype(np.int32)


def _colours(draw, variance: Variance) -> tuple[np.ndarray, np.ndarray]:
  """Colours of the shape and of the ground, never close: [N, 3, 1, 1] each."""
  light = 0.72 + 0.12 * variance.colour * next(draw)
  dark = 0.28 + 0.12 * variance.colour * next(draw)
  swap = next(draw) > 1 - variance.inversion
  ink = np.where(swap, dark, light)[:, None] + _tint(0.0, draw, variance)
  paper = np.where(swap, light, dark)[:, None] + _tint(0.6, draw, variance)
  return ink[..., None, None], paper[..., None, None]


def _tint(hue: float, draw, variance: Variance) -> np.ndarray:
  """A colour difference of fixed strength; `hue` in half turns: [N, 3]."""
  angle = np.pi * (hue + variance.colour * next(draw))
  phase = np.array([0, 2, 4], np.float32) * np.float32(np.pi / 3)
  return _CHROMA * np.cos(angle[:, None] + phase[None])


def _pattern(x, y, draw, variance: Variance) -> np.ndarray:
  """A gradient with stripes, tinted: [N, 3, SIZE, SIZE]."""
  slope = 0.3 * _along(x, y, draw)
  waves = 2 * np.pi * _spread(5 + 3 * next(draw))
  phase = np.pi * _spread(next(draw))
  stripes = 0.08 * np.sin(waves * _along(x, y, draw) + phase)
  tint = variance.background * (1 + _tint(0.3, draw, variance))
  return (slope + stripes)[:, None] * tint[..., None, None]


def _along(x, y, draw) -> np.ndarray:
  """The coordinate along a random direction, 0 at the centre: [N, SIZE, SIZE]."""
  angle = np.pi * next(draw)
  return _spread(np.cos(angle)) * (x - 0.5) + _spread(np.sin(angle)) * (y - 0.5)


def _spread(values: np.ndarray) -> np.ndarray:
  """[N] to [N, 1, 1], to meet the pixels."""
  return values[:, None, None]
