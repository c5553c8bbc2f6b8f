"""What differs between pictures of one person, each with an amplitude."""

import dataclasses
import math

import numpy as np

_STREAM = 2  # keeps the numbers of scenes apart from those of people
LEVELS = {'low': 0.25, 'default': 0.6, 'high': 1.0}


@dataclasses.dataclass(frozen=True)
class Amplitudes:
  """How strongly each thing varies: a key of `LEVELS`."""

  pose: str = 'default'  # turn, nod and tilt of the head, its place and size
  light: str = 'default'  # direction, strength and tint
  expression: str = 'default'  # mouth, eyes and brows
  background: str = 'default'  # the wall behind, and the clothes
  noise: str = 'default'  # of the pixels

  @classmethod
  def of(cls, level: str) -> 'Amplitudes':
    """One level for all of them."""
    return cls(*[level] * len(dataclasses.fields(cls)))


NAMES = tuple(field.name for field in dataclasses.fields(Amplitudes))


@dataclasses.dataclass(frozen=True)
class Scene:
  """One picture's circumstances. Angles are in radians."""

  yaw: float
  pitch: float
  tilt: float
  shift: tuple[float, float]
  zoom: float
  light: np.ndarray  # [3] towards the light: right, down, to the viewer
  ambient: float
  diffuse: float
  tint: np.ndarray  # [3] the light's colour times the exposure
  smile: float  # -1 to 1
  mouth_open: float  # 0 to 1
  eyes_open: float  # 0.2 to 1.2
  brow_raise: float  # -1 to 1
  gaze: tuple[float, float]
  wall: np.ndarray  # [2, 3] colours above and below
  pattern: np.ndarray  # [10] numbers in -1 to 1
  clutter: float  # strength of the pattern, 0 to 1
  cloth: np.ndarray  # [2, 3] colours of the clothes
  collar: int  # 0 to 3, the kind of clothes
  grain: np.ndarray  # [size, size, 3] what is added to the pixels


def make(number: int, sample: int, amplitudes: Amplitudes, size: int) -> Scene:
  """The scene of one picture.

  The random numbers depend on person and sample only: under other amplitudes the same
  scene is more or less far from the plain one.

  Args:
    number: The person.
    sample: Which picture of the person, at least 0.
    amplitudes: How strongly things vary.
    size: Side of the picture in pixels.
  """
  rng = np.random.Generator(np.random.PCG64([_STREAM, number, sample]))
  levels = {name: LEVELS[getattr(amplitudes, name)] for name in NAMES}
  return Scene(
    **_pose(rng, levels['pose']),
    **_light(rng, levels['light']),
    **_expression(rng, levels['expression']),
    **_background(rng, levels['background']),
    grain=_grain(rng, levels['noise'], size),
  )


def _pose(rng: np.random.Generator, level: float) -> dict:
  draw = _draws(rng, 6, level)
  return {
    'yaw': 0.62 * draw[0],
    'pitch': 0.23 * draw[1],
    'tilt': 0.26 * draw[2],
    'shift': (0.13 * draw[3], 0.1 * draw[4]),
    'zoom': 1.22 + 0.16 * draw[5],
  }


def _light(rng: np.random.Generator, level: float) -> dict:
  draw = _draws(rng, 6, level)
  side, height = -0.3 + 1.1 * draw[0], -0.45 + 0.5 * draw[1]
  length = math.sqrt(side * side + height * height + 0.64)
  warmth = 0.14 * draw[2]
  exposure = 1.0 + 0.28 * draw[3]
  return {
    'light': np.array([side, height, 0.8]) / length,
    'ambient': 0.54 + 0.13 * draw[4],
    'diffuse': 0.55 + 0.22 * draw[5],
    'tint': exposure * np.array([1 + warmth, 1.0, 1 - warmth]),
  }


def _expression(rng: np.random.Generator, level: float) -> dict:
  draw = _draws(rng, 6, level)
  return {
    'smile': 0.25 + draw[0],
    'mouth_open': max(0.0, 1.6 * draw[1] - 0.2),
    'eyes_open': 0.95 - 0.45 * max(0.0, draw[2]) - 0.15 * min(0.0, draw[2]),
    'brow_raise': draw[3],
    'gaze': (0.4 * draw[4], 0.25 * draw[5]),
  }


def _background(rng: np.random.Generator, level: float) -> dict:
  draw = np.array(_draws(rng, 16, level))
  pattern = np.array(_draws(rng, 10, 1.0))
  grey = np.array([0.62, 0.66, 0.7])
  upper = grey + 0.34 * draw[0] + 0.26 * draw[1:4]
  lower = upper - 0.1 + 0.2 * draw[4:7]
  cloth = np.array([0.36, 0.4, 0.5]) + 0.26 * draw[7] + 0.34 * draw[8:11]
  trim = cloth + 0.2 + 0.5 * draw[11:14]
  return {
    'wall': np.stack([upper, lower]).clip(0.06, 0.94),
    'pattern': pattern,
    'clutter': level,
    'cloth': np.stack([cloth, trim]).clip(0.06, 0.94),
    'collar': min(3, int(abs(draw[14]) * 4.4)),
  }


def _grain(rng: np.random.Generator, level: float, size: int) -> np.ndarray:
  """Nearly Gaussian: the sum of three uniform numbers has a third of their range."""
  strength = 0.05 * level * float(0.4 + 0.6 * rng.random())
  draws = rng.random((3, size, size, 3), np.float32)
  return (draws[0] + draws[1] + draws[2] - 1.5) * (2 * strength)


def _draws(rng: np.random.Generator, count: int, level: float) -> list[float]:
  return [level * (2 * float(number) - 1) for number in rng.random(count)]
