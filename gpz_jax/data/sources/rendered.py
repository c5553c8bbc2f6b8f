"""`shapes` rendered when it is read: the same examples as prepared ones, but sooner."""

from collections.abc import Iterator

from tensorflow_datasets.core import hashing

from gpz_jax.data import images
from gpz_jax.data.builders.shapes import shapes_dataset_builder as builder
from gpz_jax.data.sources import base

_CHUNK = 100  # images rendered at once: 5 MB of pixels stay in the CPU's cache


def open_source(config: str) -> base.Source:
  """A config of `shapes` that is not prepared anywhere."""
  names, _ = builder.read_config(config)
  return base.Source(
    name=f'shapes/{config}',
    key=f'shapes-{config}-{builder.Builder.VERSION}-rendered',
    class_names=tuple(names),
    channels=3,
    counts=dict(builder.NUM_EXAMPLES),
    read=lambda subset: _read(config, subset),
  )


def _read(config: str, subset: str) -> Iterator[images.Encoded]:
  order = _stored_order(subset, builder.NUM_EXAMPLES[subset])
  for start in range(0, len(order), _CHUNK):
    index = order[start : start + _CHUNK]
    image, label = builder.make_examples(config, subset, index)
    for i in range(len(index)):
      where = f'shapes/{config} {subset} example {index[i]}'
      yield images.Encoded(where, image[i], int(label[i]))


def _stored_order(subset: str, count: int) -> list[int]:
  """The order TFDS writes examples 0 to count in: by the hash of their keys.

  Kept, so that the same seed divides rendered and prepared data alike.
  """
  hasher = hashing.Hasher(subset)
  return sorted(range(count), key=hasher.hash_key)
