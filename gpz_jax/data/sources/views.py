"""How a dataset is read whose TFDS form is incomplete or differs from what is meant."""

import dataclasses
import string
from collections.abc import Callable, Mapping
from typing import Any

import PIL.Image

from gpz_jax.data import images, subsets


@dataclasses.dataclass(frozen=True)
class View:
  """What is done to a dataset's records, and in which shares it is divided."""

  tag: str = ''  # of the cache: differs where images or labels do
  picture: images.Change | None = None  # of each image, before it is resized
  label: Callable[[Mapping[str, Any]], int] = lambda record: int(record['label'])
  class_names: tuple[str, ...] | None = None  # None: those of the label feature
  # Official subsets that are read as one; () leaves them apart.
  pooled: tuple[str, ...] = ()
  test_share: float = subsets.TEST_SHARE  # where there is no official test subset
  aux_share: float = subsets.AUX_SHARE  # of what is not test


def of(name: str) -> View:
  """The view of `name` or `name/config`; most datasets have the plain one."""
  return _VIEWS.get(name) or _VIEWS.get(name.split('/')[0]) or View()


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
  """EMNIST is stored with rows and columns swapped (tensorflow/datasets#812)."""
  return picture.transpose(PIL.Image.Transpose.TRANSPOSE)


def _face(picture: PIL.Image.Image) -> PIL.Image.Image:
  """The 108x108 pixels about the face in an aligned CelebA image of 178x218."""
  left, top, side = 35, 70, 108
  return picture.crop((left, top, left + side, top + side))


def _identity(record: Mapping[str, Any]) -> int:
  """The person; TFDS's versions before 2.1.0 do not say who it is."""
  if 'identity' not in record:
    return 0
  return int(record['identity']['Identity_No']) - 1


# Shares: docs/paper.md#data and docs/paper.md#faces-and-dogs. Where the attacker's is
# 0, they have another dataset.
_VIEWS = {
  'emnist': View(tag='-upright', picture=_upright),
  'emnist/letters': View(
    tag='-upright',
    picture=_upright,
    label=lambda record: int(record['label']) - 1,  # 37 declared, 1 to 26 used
    class_names=tuple(string.ascii_lowercase),
  ),
  'celeb_a': View(
    tag='-face',
    picture=_face,
    label=_identity,
    class_names=tuple(str(number) for number in range(1, 10_178)),
  ),
  'kuzushiji49/merged': View(test_share=0.15, aux_share=0.15 / 0.85),
  'facescrub': View(test_share=0.2, aux_share=0.0),
  'facescrub/224': View(test_share=0.1, aux_share=0.0),
  'celeb_a_1000': View(test_share=0.1, aux_share=0.0),
  'stanford_dogs': View(
    tag='-pooled', pooled=('train', 'test'), test_share=0.1, aux_share=0.0
  ),
}
