"""What the name of a config says, as in `portraits/private32_50x100_high_pose-low`."""

import dataclasses
import re

from gpz_jax import types
from gpz_jax.data.builders.portraits import render, scenes

MOST = 2_000  # people of a role
IDENTITIES = 530  # of a config that gives no numbers
IMAGES = 40
ROLES = {'private': 0, 'public': MOST}  # the number of the first person

_COUNTS = (2, MOST), (2, 1_000)  # of people, and of images of each: least and most
_FORM = (
  'private or public, 32 or 64, then if wanted _<2 to 2000 people>x<2 to 1000 images>,'
  ' _low or _high, and single amplitudes such as _pose-low, as in'
  ' portraits/private32_50x100_high'
)


@dataclasses.dataclass(frozen=True)
class Options:
  """A config of `portraits`."""

  role: str  # a key of `ROLES`; no person has two
  size: int  # side of the images in pixels
  identities: int = IDENTITIES
  images: int = IMAGES  # of each person, train and test together
  amplitudes: scenes.Amplitudes = dataclasses.field(default_factory=scenes.Amplitudes)

  def num_images(self, subset: str) -> int:
    """How many images of each person are in `train` or `test`: a fifth is test."""
    test = max(1, (self.images + 2) // 5)
    return test if subset == 'test' else self.images - test

  def numbers(self) -> range:
    """The numbers of the people; fewer people are the first ones of more."""
    first = ROLES[self.role]
    return range(first, first + self.identities)


def parse(config: str) -> Options:
  """The options that a config's name stands for.

  Raises:
    InputError: The name has another form, or a number is out of range.
  """
  head, *parts = config.split('_')
  match = re.fullmatch('([a-z]+)([0-9]+)', head)
  if not match or match[1] not in ROLES or int(match[2][:9]) not in render.SIZES:
    raise _refused(config, f'{head!r} is no role and size')
  role, size = match[1], int(match[2])
  identities, images = IDENTITIES, IMAGES
  if parts and re.fullmatch('[0-9]{1,9}x[0-9]{1,9}', parts[0]):
    identities, images = map(int, parts.pop(0).split('x'))
    limits = zip((identities, images), _COUNTS, strict=True)
    if not all(least <= count <= most for count, (least, most) in limits):
      raise _refused(config, f'{identities} people x {images} images is out of range')
  return Options(role, size, identities, images, _amplitudes(config, parts))


def spell(options: Options) -> str:
  """The one name of the options, in which defaults are left out."""
  parts = [f'{options.role}{options.size}']
  if (options.identities, options.images) != (IDENTITIES, IMAGES):
    parts.append(f'{options.identities}x{options.images}')
  levels = dataclasses.asdict(options.amplitudes)
  common = set(levels.values())
  if len(common) == 1:
    return '_'.join(parts + sorted(common - {'default'}))
  parts += [f'{name}-{level}' for name, level in levels.items() if level != 'default']
  return '_'.join(parts)


def role(name: str) -> str | None:
  """The role that `portraits/<config>` has; None for the name of other data."""
  base_name, _, config = name.partition('/')
  return parse(config).role if base_name == 'portraits' and config else None


def _amplitudes(config: str, parts: list[str]) -> scenes.Amplitudes:
  """The amplitudes: one word for all of them first, then single ones."""
  common = parts.pop(0) if parts and parts[0] in scenes.LEVELS else 'default'
  levels = dict.fromkeys(scenes.NAMES, common)
  given = set()
  for part in parts:
    name, _, level = part.partition('-')
    if name not in levels or level not in scenes.LEVELS:
      hint = types.did_you_mean(name, scenes.NAMES) if level in scenes.LEVELS else ''
      raise _refused(config, f'{part!r} is no amplitude{hint}'.rstrip(';'))
    if name in given:
      raise _refused(config, f'{name} is given twice')
    given.add(name)
    levels[name] = level
  return scenes.Amplitudes(**levels)


def _refused(config: str, why: str) -> types.InputError:
  names = ', '.join(scenes.NAMES)
  return types.InputError(
    f"dataset 'portraits' has no config {config!r}: {why}; give {_FORM} (amplitudes:"
    f' {names}; each low, default or high)'
  )
