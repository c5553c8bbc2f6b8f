"""`portraits`: drawn faces of made-up people; the label is the person.

No download, no TensorFlow, minutes to make, and the same bytes every time. The people
of `private` and `public` configs are never the same, so that one is what a target is
trained on and the other is what an attacker has. Everything but the person varies from
image to image, with amplitudes that the config sets.
"""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds

from gpz_jax.data import images
from gpz_jax.data.builders import writing
from gpz_jax.data.builders.portraits import options, render, scenes

SUBSETS = ('train', 'test')
DEFAULT_CONFIG = 'private32'

_FIRST_SAMPLE = {'train': 0, 'test': 1_000_000}  # never reached by the train images


def make_config(name: str) -> tfds.core.BuilderConfig:
  """A config that TFDS takes, whether it is listed or not.

  Raises:
    InputError: The name is no config.
  """
  parsed = options.parse(name)
  listed = {config.name: config for config in Builder.BUILDER_CONFIGS}
  return listed.get(name) or _describe(parsed)


def _describe(parsed: options.Options) -> tfds.core.BuilderConfig:
  return tfds.core.BuilderConfig(
    name=options.spell(parsed),
    description=(
      f'{parsed.identities} {parsed.role} people, {parsed.images} images of each,'
      f' {parsed.size}x{parsed.size}.'
    ),
  )


class Builder(tfds.core.GeneratorBasedBuilder):
  """Configs as `options` reads them; the usual ones are listed."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Initial release.'}  # noqa: RUF012 - TFDS declares it so
  BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS declares it so
    _describe(options.Options(role, size, amplitudes=scenes.Amplitudes.of(level)))
    for role in options.ROLES
    for size in render.SIZES
    for level in scenes.LEVELS
  ]
  DEFAULT_BUILDER_CONFIG_NAME = DEFAULT_CONFIG

  def _config(self) -> str:
    return self.builder_config_name or DEFAULT_CONFIG

  def _info(self) -> tfds.core.DatasetInfo:
    size = options.parse(self._config()).size
    names = class_names(self._config())
    return writing.labelled_images(self, __doc__, (size, size, 3), names)

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing to download
    return {subset: self._generate_examples(subset) for subset in SUBSETS}

  def _generate_examples(self, subset: str) -> Iterator[tuple[int, dict]]:
    for i in range(num_examples(self._config())[subset]):
      image, label = make_examples(self._config(), subset, [i])
      # Encoded here: handed an array, TFDS would encode it with TensorFlow.
      yield i, {'image': io.BytesIO(images.encode(image[0])), 'label': int(label[0])}


def class_names(config: str) -> list[str]:
  """The numbers of the people, which tell private and public ones apart."""
  return [str(number) for number in options.parse(config).numbers()]


def num_examples(config: str) -> dict[str, int]:
  """How many examples each subset has."""
  parsed = options.parse(config)
  return {subset: parsed.identities * parsed.num_images(subset) for subset in SUBSETS}


def make_examples(
  config: str, subset: str, index: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
  """The examples at `index` of a subset; people take turns.

  An image depends on person, subset, its number among the person's images, amplitudes
  and size. So configs with more people or images hold those of configs with fewer.

  Args:
    config: Name of a config.
    subset: `train` or `test`.
    index: Numbers [N] of the examples.

  Returns:
    image [N, size, size, 3] uint8 and label [N].

  Raises:
    InputError: The name is no config.
  """
  parsed = options.parse(config)
  sample, label = np.divmod(np.asarray(index), parsed.identities)
  sample = sample + _FIRST_SAMPLE[subset]
  numbers = parsed.numbers()
  image = [
    render.render(numbers[k], int(j), parsed.amplitudes, parsed.size)
    for k, j in zip(label.tolist(), sample, strict=True)
  ]
  return np.stack(image), label
