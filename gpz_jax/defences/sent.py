"""Defences that change what is sent, and leave the training of the target as it is.

Source: docs/paper.md#defences.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from gpz_jax.defences.protocol import Defence
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Noise(Defence):
  """Clips the norm of each activation, and adds Gaussian noise to every number.

  `at` names the splits where it does so; by default all of them. It is the Gaussian
  mechanism for one image, and claims no privacy budget for a user who sends several.

  Attributes:
    sigma: The deviation of the noise, in units of `clip`: each number gets noise of
      the deviation sigma * clip.
    clip: The largest L2 norm of the activation of one image.
  """

  sigma: float = 0.1
  clip: float = 1.0

  traced: ClassVar[tuple[str, ...]] = ('sigma', 'clip')

  def __post_init__(self):
    if not 0 <= self.sigma < math.inf:
      raise InputError(f"defence '{self.text}': sigma must be at least 0 and finite")
    if not 0 < self.clip < math.inf:
      raise InputError(f"defence '{self.text}': clip must be above 0 and finite")

  def send(self, activation: jax.Array, key: jax.Array) -> jax.Array:
    """[B, ...] -> [B, ...], of norm `clip` at most before the noise."""
    axes = tuple(range(1, activation.ndim))
    square = jnp.sum(jnp.square(activation), axes, keepdims=True)
    # The norm of zeros has no slope, and an attacker may search through this.
    norm = jnp.sqrt(jnp.maximum(square, 1e-24))
    clipped = activation * jnp.minimum(1, self.clip / norm)
    noise = jax.random.normal(key, activation.shape)
    return clipped + self.sigma * self.clip * noise


@dataclasses.dataclass(frozen=True)
class Dropout(Defence):
  """Sends a random share of the numbers as 0 and scales up the others.

  `at` names the splits where it does so; by default all of them.

  Attributes:
    rate: The share of the numbers that are dropped, in [0, 1).
  """

  rate: float = 0.3

  traced: ClassVar[tuple[str, ...]] = ('rate',)

  def __post_init__(self):
    if not 0 <= self.rate < 1:
      raise InputError(f"defence '{self.text}': rate must be at least 0 and below 1")

  def send(self, activation: jax.Array, key: jax.Array) -> jax.Array:
    """[B, ...] -> [B, ...], the same in expectation."""
    is_kept = jax.random.uniform(key, activation.shape) >= self.rate
    return jnp.where(is_kept, activation / (1 - self.rate), 0)
