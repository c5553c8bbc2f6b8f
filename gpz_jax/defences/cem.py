"""CEM: a noisy activation that says little of an image beyond its class.

The activation at a split is sent with Gaussian noise. The loss gains the weight times a
bound on what is then left to know of the image: of each class the mean over features of
log(variance + sigma^2), averaged over classes. It is the logarithm of the determinant
of the covariance of one component of a Gaussian mixture, which has independent features
and a component for each class.

The released code differs: it has 5 or 15 components for each class, one variance for
all features of a component, and a threshold. A weight of ours is not theirs.

Source: docs/paper.md#defences (Xia et al., CVPR 2025).
"""

import dataclasses
import math
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.defences.protocol import Defence, Step, select
from gpz_jax.types import InputError

EPSILON = 1e-6  # for a feature that is constant where sigma is 0


@dataclasses.dataclass(frozen=True)
class CEM(Defence):
  """Conditional entropy maximisation. `at` names the splits where the model is cut.

  Attributes:
    weight: The weight of the bound in the loss.
    sigma: The deviation of the noise, in units of the activation.
  """

  weight: float = 16.0
  sigma: float = 0.025

  traced: ClassVar[tuple[str, ...]] = ('weight', 'sigma')
  sends_in_training: ClassVar[bool] = True

  def __post_init__(self):
    for name in self.traced:
      if not 0 <= getattr(self, name) < math.inf:
        raise InputError(f"defence '{self.text}': {name} must be at least 0 and finite")

  def list_reads(
    self, model: nn.Module, image_shape: tuple[int, int, int]
  ) -> tuple[str, ...]:
    """The splits of `at`.

    Raises:
      InputError: There is none, or it is not in the model.
    """
    if not self.at:
      raise InputError(
        f"defence '{self.text}' needs the split where the model is cut, as in"
        ' cem:at=layer1_1'
      )
    return select(self, model, image_shape)

  def penalty(self, step: Step) -> jax.Array:
    """The weight times the bound, summed over splits. Activations are without noise."""
    bounds = [
      bound_information(each, step.labels, step.mask, self.sigma)
      for each in step.activations.values()
    ]
    return self.weight * sum(bounds, jnp.zeros(()))

  def send(self, activation: jax.Array, key: jax.Array) -> jax.Array:
    """[B, ...] -> [B, ...], with the noise."""
    noise = jax.random.normal(key, activation.shape, activation.dtype)
    return activation + self.sigma * noise


def bound_information(
  activation: jax.Array, label: jax.Array, mask: jax.Array, sigma: jax.Array | float
) -> jax.Array:
  """The mean over classes and features of log(variance within the class + sigma^2).

  Args:
    activation: [B, ...].
    label: [B] int32.
    mask: [B], 1 where an example counts.
    sigma: The deviation of the noise.

  Returns:
    [], in nats for each feature, twice the entropy up to a constant. A class with fewer
    than two examples has no variance and is left out; it is 0 where all are.
  """
  flat = activation.reshape(len(activation), -1).astype(jnp.float32)
  # A row for each example and not for each class, of which there may be thousands.
  same = (label[:, None] == label[None, :]) * mask[None, :]
  count = same.sum(axis=1)
  mean = (same @ flat) / jnp.maximum(count, 1)[:, None]
  square = same @ jnp.square(flat - mean)  # all of a class have the same mean
  variance = square / jnp.maximum(count - 1, 1)[:, None]
  each = jnp.log(variance + sigma**2 + EPSILON).mean(axis=1)
  share = jnp.where(count > 1, mask / jnp.maximum(count, 1), 0)  # sums to the classes
  return jnp.sum(share * each) / jnp.maximum(share.sum(), 1)
