"""`shapes`: procedural 64x64 RGB images; the label is the kind of shape.

No download, no TensorFlow, seconds to make, and the same bytes every time. The number
of classes and the variance within a class are set by the config, one each for what
the Golden Partition Zone paper says about both (docs/paper.md#data).
"""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds

from gpz_jax.data import images
from gpz_jax.data.builders import writing
from gpz_jax.data.builders.shapes import kinds, render

NUM_EXAMPLES = {'train': 12_000, 'test': 2_000}
CLASS_COUNTS = range(2, len(kinds.KINDS) + 1)
DEFAULT_CONFIG = '10_default'

_CHUNK = 100  # images rendered at once
_SUBSET_SEEDS = {'train': 0, 'test': 1}


class Builder(tfds.core.GeneratorBasedBuilder):
  """Configs `<classes>_<variance>`: 2 to 50 classes; low, default or high."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}  # noqa: RUF012 - TFDS declares it so
  BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS declares it so
    tfds.core.BuilderConfig(
      name=f'{count}_{variance}',
      description=f'{count} kinds of shape, {variance} variance within a class.',
    )
    for count in CLASS_COUNTS
    for variance in render.VARIANCES
  ]
  DEFAULT_BUILDER_CONFIG_NAME = DEFAULT_CONFIG

  def _config(self) -> str:
    return self.builder_config_name or DEFAULT_CONFIG

  def _info(self) -> tfds.core.DatasetInfo:
    names, _ = read_config(self._config())
    return writing.labelled_images(self, __doc__, (render.SIZE, render.SIZE, 3), names)

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing to download
    return {subset: self._generate_examples(subset) for subset in NUM_EXAMPLES}

  def _generate_examples(self, subset: str) -> Iterator[tuple[int, dict]]:
    for start in range(0, NUM_EXAMPLES[subset], _CHUNK):
      index = range(start, min(start + _CHUNK, NUM_EXAMPLES[subset]))
      image, label = make_examples(self._config(), subset, index)
      for i in range(len(index)):
        # Encoded here: handed an array, TFDS would encode it with TensorFlow.
        example = {'image': io.BytesIO(images.encode(image[i])), 'label': int(label[i])}
        yield start + i, example


def read_config(config: str) -> tuple[list[str], render.Variance]:
  """The kinds and the variance that a config's name stands for."""
  count, variance = config.split('_')
  return list(kinds.KINDS)[: int(count)], render.VARIANCES[variance]


def class_names(config: str) -> list[str]:
  """The names of the kinds."""
  return read_config(config)[0]


def num_examples(config: str) -> dict[str, int]:
  """How many examples each subset has, whatever the config."""
  del config
  return dict(NUM_EXAMPLES)


def make_examples(
  config: str, subset: str, index: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
  """The examples at `index` of a subset; classes take turns.

  The random numbers depend on the number of classes, the subset and the example, not
  on the variance: the configs of one class count show the same scenes, more or less
  spread.

  Returns:
    image [N, 64, 64, 3] uint8 and label [N], N = len(index).
  """
  names, variance = read_config(config)
  rng = np.random.Generator(np.random.PCG64([len(names), _SUBSET_SEEDS[subset]]))
  rows = np.asarray(index)
  draws = rng.uniform(-1, 1, (rows.max() + 1, render.NUM_DRAWS))[rows]
  label = rows % len(names)
  return render.render(names, label, draws, variance), label
