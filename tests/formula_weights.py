"""Weights and images by formula, the same in every library and on every machine.

An array's numbers depend on its torch name, its shape and one gain. torch and JAX fill
their nets by them apart from each other, so that logits can be compared without a file
of weights: `record_torchvision.py` records torch's once.
"""

import math
import zlib
from collections.abc import Mapping

import numpy as np

# torchvision: transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """Numbers in [0, 1) in float32, each a hash of the name and of its index.

  Source of the mixing: splitmix64 (Steele et al., 2014).
  """
  start = np.uint64(zlib.crc32(name.encode()) << 32)
  x = start + np.arange(math.prod(shape), dtype=np.uint64)
  for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
    x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
  x ^= x >> np.uint64(31)
  return ((x >> np.uint64(40)).astype(np.float32) / 2**24).reshape(shape)


def array(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
  """One array of a torch state dict, in torch's layout.

  A kernel has the deviation of He et al.; a norm multiplies by about `gain`, and its
  running variance is between 0.5 and 1.5.

  Args:
    name: torch's name, such as 'layer1.0.conv1.weight'.
    shape: torch's shape.
    gain: Mean of the weights of norms. A net with skip connections needs less than 1,
      or its activations grow from block to block and amplify rounding.
  """
  u = uniform(name, shape)
  if len(shape) > 1:
    return (2 * u - 1) * np.float32(math.sqrt(6 / math.prod(shape[1:])))
  if name.endswith('running_var'):
    return 0.5 + u
  if name.endswith('weight'):
    return np.float32(gain) * (0.75 + 0.5 * u)
  return 0.2 * (u - 0.5)


def state_dict(
  shapes: Mapping[str, tuple[int, ...]], gain: float
) -> dict[str, np.ndarray]:
  """The floating-point arrays of a torch state dict: name -> array."""
  return {name: array(name, shape, gain) for name, shape in shapes.items()}


def images(count: int, side: int) -> np.ndarray:
  """Images [count, side, side, 3] in [0, 1], of noise and ever darker."""
  noise = uniform('images', (count, side, side, 3))
  brightness = 0.4 ** np.arange(count, dtype=np.float32)
  return noise * brightness[:, None, None, None]
