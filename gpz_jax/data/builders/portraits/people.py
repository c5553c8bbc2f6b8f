"""Made-up people: what stays the same in all pictures of one of them."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

_STREAM = 1  # keeps the numbers of people apart from those of scenes


@dataclasses.dataclass(frozen=True)
class Person:
  """Traits. Lengths are in units of half the canvas, colours [3] in 0 to 1."""

  width: float  # half the width of the face
  crown: float  # from the middle of the face up
  chin: float  # from the middle of the face down
  taper: float  # by how much the jaw is narrower, 0 to 0.5
  square: float  # how square the jaw is, 0 to 1
  build: float  # half the width of the shoulders
  neck: float  # half the width of the neck
  skin: np.ndarray
  blush: float  # 0 to 1
  freckles: float  # strength, 0 where there are none
  spots: np.ndarray  # of freckles: [24, 3] u, v, size
  mole: tuple[float, float] | None
  ear: float  # height
  eye_level: float
  eye_apart: float  # from the middle to the centre of an eye
  eye_width: float  # half
  eye_height: float  # half
  eye_slant: float
  iris: np.ndarray
  lash: float  # thickness of the upper lid's line
  lid: float  # strength of the fold and of the shade on the lid
  brow_gap: float
  brow_thick: float
  brow_length: float
  brow_arch: float
  brow_slant: float
  nose_length: float
  nose_width: float
  nose_bridge: float
  mouth_drop: float  # from the nose's tip to the mouth
  mouth_width: float
  lip_upper: float
  lip_lower: float
  lips: np.ndarray
  hair: np.ndarray
  style: str
  volume: float
  hairline: float  # as a share of the crown
  parting: float  # where the hair parts, -1 to 1
  length: float
  strands: np.ndarray  # [64] brightness of strands, -1 to 1
  beard: str
  beard_colour: np.ndarray
  glasses: str
  frame: np.ndarray
  earrings: bool


_SKINS = (
  (252, 222, 200),
  (243, 202, 172),
  (229, 180, 140),
  (206, 150, 108),
  (170, 114, 76),
  (126, 80, 52),
  (88, 56, 38),
)
_HAIRS = {  # colour and how common it is
  'black': ((30, 26, 30), 18),
  'dark brown': ((62, 40, 30), 18),
  'brown': ((104, 66, 40), 15),
  'auburn': ((130, 50, 30), 9),
  'ginger': ((202, 96, 40), 8),
  'dark blond': ((164, 122, 72), 8),
  'blond': ((226, 190, 112), 10),
  'grey': ((146, 146, 150), 6),
  'white': ((226, 226, 230), 4),
  'blue': ((60, 104, 190), 2),
  'pink': ((222, 110, 160), 2),
  'green': ((62, 146, 110), 2),
}
_DYED = ('blue', 'pink', 'green')
_IRISES = (
  (98, 58, 30),
  (54, 34, 24),
  (134, 102, 50),
  (70, 136, 80),
  (62, 122, 190),
  (136, 162, 180),
)
_FRAMES = ((28, 28, 32), (110, 60, 34), (176, 40, 44), (190, 160, 90), (50, 80, 150))
STYLES = {  # how common each is: of people who may have a beard, and of others
  'bald': (6, 0),
  'tonsure': (5, 0),
  'buzz': (8, 1),
  'crop': (12, 3),
  'parted': (14, 5),
  'quiff': (9, 2),
  'spikes': (7, 2),
  'curls': (8, 8),
  'afro': (5, 8),
  'bob': (2, 14),
  'long': (5, 14),
  'wavy': (3, 14),
  'curtains': (4, 9),
  'bun': (3, 10),
  'tails': (0, 7),
  'mohawk': (2, 2),
}
BEARDS = {
  'none': 36,
  'stubble': 14,
  'moustache': 12,
  'goatee': 12,
  'full': 20,
  'long': 6,
}
GLASSES = {'none': 70, 'round': 12, 'square': 12, 'wide': 6}


class _Draws:
  """Random traits of one person."""

  def __init__(self, number: int):
    self.rng = np.random.Generator(np.random.PCG64([_STREAM, number]))

  def between(self, low: float, high: float) -> float:
    return low + (high - low) * float(self.rng.random())

  def chance(self, share: float) -> bool:
    return float(self.rng.random()) < share

  def pick(self, weights: Mapping[str, float]) -> str:
    rest = float(self.rng.random()) * sum(weights.values())
    for name, weight in weights.items():
      rest -= weight
      if rest < 0:
        return name
    return list(weights)[-1]

  def near(self, colour: tuple[int, ...], spread: float) -> np.ndarray:
    """A colour beside the one given, brighter or darker and of another tint."""
    bright = self.between(-spread, spread)
    tint = self.rng.random(3) * 2 - 1
    mixed = np.array(colour) / 255 * (1 + bright) + 0.35 * spread * tint
    return mixed.clip(0.03, 0.97)


@functools.lru_cache(maxsize=4096)
def make(number: int) -> Person:
  """The person of a number, the same one every time.

  Args:
    number: At least 0.
  """
  draws = _Draws(number)
  male = draws.chance(0.5)  # decides how common traits are, and no trait alone
  skin, tone = _skin(draws)
  return Person(
    **_face(draws, male),
    **_eyes(draws, male),
    **_nose_and_mouth(draws, male, skin),
    **_hair(draws, male, tone),
    skin=skin,
    **_extras(draws, male, tone),
  )


def _skin(draws: _Draws) -> tuple[np.ndarray, float]:
  """The colour of the skin, and how dark it is: 0 to 1."""
  tone = draws.between(0, 1) ** 1.2
  place = tone * (len(_SKINS) - 1)
  below = min(int(place), len(_SKINS) - 2)
  low, high = np.array(_SKINS[below]), np.array(_SKINS[below + 1])
  colour = (low + (place - below) * (high - low)) / 255
  under = draws.between(-1, 1)
  return (colour * [1.0, 1 - 0.035 * under, 1 - 0.09 * under]).clip(0, 1), tone


def _face(draws: _Draws, male: bool) -> dict:
  return {
    'width': draws.between(0.37, 0.5),
    'crown': draws.between(0.47, 0.56),
    'chin': draws.between(0.44, 0.58),
    'taper': draws.between(0.05, 0.3) + (0 if male else 0.1),
    'square': draws.between(0.1, 0.95 if male else 0.7),
    'build': draws.between(0.72, 0.95) - (0 if male else 0.1),
    'neck': draws.between(0.19, 0.28) - (0 if male else 0.03),
    'ear': draws.between(0.09, 0.16),
  }


def _eyes(draws: _Draws, male: bool) -> dict:
  colour = _IRISES[int(draws.between(0, len(_IRISES)))]
  return {
    'eye_level': draws.between(-0.06, 0.05),
    'eye_apart': draws.between(0.16, 0.225),
    'eye_width': draws.between(0.085, 0.125),
    'eye_height': draws.between(0.042, 0.085),
    'eye_slant': draws.between(-0.18, 0.28),
    'iris': draws.near(colour, 0.15),
    'lash': draws.between(0.012, 0.022) + (0 if male else 0.008),
    'lid': draws.between(0, 1),
    'brow_gap': draws.between(0.045, 0.1),
    'brow_thick': draws.between(0.012, 0.03) + (0.012 if male else 0),
    'brow_length': draws.between(0.1, 0.15),
    'brow_arch': draws.between(0, 0.06),
    'brow_slant': draws.between(-0.035, 0.04),
  }


def _nose_and_mouth(draws: _Draws, male: bool, skin: np.ndarray) -> dict:
  red = np.array([0.72, 0.26, 0.28]) * (0.55 + 0.55 * skin[1])
  share = draws.between(0.3, 0.6) if male else draws.between(0.45, 0.95)
  return {
    'nose_length': draws.between(0.14, 0.24),
    'nose_width': draws.between(0.05, 0.105),
    'nose_bridge': draws.between(0.3, 1.0),
    'mouth_drop': draws.between(0.1, 0.16),
    'mouth_width': draws.between(0.11, 0.19),
    'lip_upper': draws.between(0.018, 0.045),
    'lip_lower': draws.between(0.026, 0.06),
    'lips': skin + share * (red - skin),
  }


def _hair(draws: _Draws, male: bool, tone: float) -> dict:
  dark = tone > 0.62  # fair hair is rarer on dark skin
  common = {
    name: share * (0.25 if dark and sum(rgb) > 300 else 1)
    for name, (rgb, share) in _HAIRS.items()
  }
  name = draws.pick(common)
  colour = draws.near(_HAIRS[name][0], 0.16)
  natural = _HAIRS[name if name not in _DYED else 'brown'][0]
  style = draws.pick({name: both[not male] for name, both in STYLES.items()})
  return {
    'hair': colour,
    'beard_colour': draws.near(natural, 0.25),
    'style': style,
    'volume': draws.between(0.04, 0.13),
    'hairline': draws.between(0.5, 0.78),
    'parting': draws.between(0.15, 0.6) * (1 if draws.chance(0.5) else -1),
    'length': draws.between(0.45, 0.95),
    'strands': draws.rng.random(64) * 2 - 1,
  }


def _extras(draws: _Draws, male: bool, tone: float) -> dict:
  spots = draws.rng.random((24, 3))
  freckled = draws.chance(0.22)
  strength = draws.between(0.35, 0.8)
  mole = (draws.between(-0.28, 0.28), draws.between(0.1, 0.38))
  return {
    'blush': draws.between(0, 1) * (0.6 if male else 1),
    'freckles': strength if freckled and tone < 0.75 else 0.0,
    'spots': spots,
    'mole': mole if draws.chance(0.18) else None,
    'beard': draws.pick(BEARDS) if male else 'none',
    'glasses': draws.pick(GLASSES),
    'frame': draws.near(_FRAMES[int(draws.between(0, len(_FRAMES)))], 0.1),
    'earrings': draws.chance(0.05 if male else 0.35),
  }
