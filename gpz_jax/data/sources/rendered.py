"""Drawn datasets rendered when they are read: the same examples as prepared ones."""

from collections.abc import Iterator

from tensorflow_datasets.core import hashing

from gpz_jax.data import images
from gpz_jax.data.builders.portraits import portraits_dataset_builder
from gpz_jax.data.builders.shapes import shapes_dataset_builder
from gpz_jax.data.sources import base

_BUILDERS = {'shapes': shapes_dataset_builder, 'portraits': portraits_dataset_builder}
_CHUNK = 100  # images rendered at once: 5 MB of pixels stay in the CPU's cache


def open_source(name: str, config: str) -> base.Source:
  """A config of a drawn dataset that is not prepared anywhere.

  Args:
    name: One of `builders.DRAWN`.
    config: One of its configs.
  """
  builder = _BUILDERS[name]
  return base.Source(
    name=f'{name}/{config}',
    key=f'{name}-{config}-{builder.Builder.VERSION}-rendered',
    class_names=tuple(builder.class_names(config)),
    channels=3,
    counts=builder.num_examples(config),
    read=lambda subset: _read(name, config, subset),
  )


def _read(name: str, config: str, subset: str) -> Iterator[images.Encoded]:
  builder = _BUILDERS[name]
  order = _stored_order(subset, builder.num_examples(config)[subset])
  for start in range(0, len(order), _CHUNK):
    index = order[start : start + _CHUNK]
    image, label = builder.make_examples(config, subset, index)
    for i in range(len(index)):
      where = f'{name}/{config} {subset} example {index[i]}'
      yield images.Encoded(where, image[i], int(label[i]))


def _stored_order(subset: str, count: int) -> list[int]:
  """The order TFDS writes examples 0 to count in: by the hash of their keys.

  Kept, so that the same seed divides rendered and prepared data alike.
  """
  hasher = hashing.Hasher(subset)
  return sorted(range(count), key=hasher.hash_key)
