"""Which mean and deviation a model takes from its images.

Weights fit only the normalisation that they were trained with, and no name or shape
tells which one that was; so every built-in model has an option `normalization`.
"""

import math
import re

from gpz_jax.types import InputError

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)

Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation
# By number of channels; 0 stands for any number.
_NAMED: dict[str, dict[int, Statistics]] = {
  # Grey images by 0.5 and 0.5, as the paper's released code does
  'cifar10': {3: (CIFAR10_MEAN, CIFAR10_STD), 0: ((0.5,), (0.5,))},
  # torchvision's weights: 'mean' and 'std' of their transforms
  'imagenet': {3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))},
  'half': {0: ((0.5,), (0.5,))},
  'none': {0: ((0.0,), (1.0,))},
}
_WANTED = (
  f'use {", ".join(_NAMED)}, or MEAN/STD as two or six numbers, such as 0.4/0.2'
  " (',' separates as well as '/')"
)


def statistics(normalization: str, channels: int) -> Statistics:
  """The mean and the deviation that a normalisation has for images.

  Args:
    normalization: 'cifar10', 'imagenet', 'half' (0.5 and 0.5), 'none', or numbers
      separated by '/' or ',': one mean and one deviation for all channels, or three
      means and then three deviations.
    channels: Number of channels of the images.

  Returns:
    Mean and deviation, each of one number or of one for each channel.

  Raises:
    InputError: The normalisation is not known, its deviations are not positive, or it
      is one of colour images and these are not.
  """
  known = _NAMED.get(normalization) if isinstance(normalization, str) else None
  known = known or {0: _parse(normalization)}
  found = known.get(channels) or known.get(0)
  if found is None or len(found[0]) not in (1, channels):
    raise InputError(
      f"normalization '{normalization}' is one of colour images, and these have"
      f' {channels} channel{"s" * (channels != 1)}; use half, none or MEAN/STD'
    )
  return found


def check(normalization: str) -> None:
  """Raises InputError where a normalisation is neither known nor numbers."""
  if not (isinstance(normalization, str) and normalization in _NAMED):
    _parse(normalization)


def _parse(normalization: str) -> Statistics:
  """'0.4/0.2' -> ((0.4,), (0.2,))."""
  try:
    numbers = tuple(map(float, re.split('[,/]', normalization)))
  except (TypeError, ValueError):
    numbers = ()
  half = len(numbers) // 2
  mean, std = numbers[:half], numbers[half:]
  usable = all(map(math.isfinite, numbers)) and all(value > 0 for value in std)
  if len(numbers) not in (2, 6) or not usable:
    raise InputError(f"normalization '{normalization}' is not known; {_WANTED}")
  return mean, std
