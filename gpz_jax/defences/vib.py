"""MID: a bottleneck of noise in front of the classifier, which limits what it carries.

The features are mapped to the mean and the deviation of k Gaussians; the classifier is
given a sample of them, in evaluation too. The loss gains beta KL(N(mean, deviation) ||
N(0, 1)), summed over the k and averaged over the batch.

Source: docs/paper.md#defences (Wang et al., AAAI 2021).
"""

import dataclasses
import functools
import math
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import partition
from gpz_jax.defences.parameters import list_children
from gpz_jax.defences.protocol import Defence, Step
from gpz_jax.types import InputError

NAME = 'bottleneck'
STATISTICS = f'{NAME}/statistics'
_SHIFT = 5.0  # deviations start small: softplus(-5) is 0.007


@dataclasses.dataclass(frozen=True)
class VIB(Defence):
  """A variational bottleneck in front of the classifier.

  Attributes:
    beta: The weight of the divergence from the standard normal distribution.
    size: The numbers k that the classifier reads; 0 takes half of the features.
  """

  beta: float = 0.01
  size: int = 0

  traced: ClassVar[tuple[str, ...]] = ('beta',)

  def __post_init__(self):
    if self.at:
      raise InputError(
        f"defence '{self.text}' takes no at; it lies before the classifier"
      )
    if not 0 <= self.beta < math.inf:
      raise InputError(f"defence '{self.text}': beta must be at least 0 and finite")
    if self.size < 0:
      raise InputError(f"defence '{self.text}': size must be at least 1")

  def list_reads(
    self, model: nn.Module, image_shape: tuple[int, int, int]
  ) -> tuple[str, ...]:
    """What the bottleneck computes of the features."""
    del model, image_shape
    return (STATISTICS,)

  def penalty(self, step: Step) -> jax.Array:
    """beta KL, in nats."""
    mean, deviation = split_statistics(step.activations[STATISTICS])
    divergence = 0.5 * (mean**2 + deviation**2 - 1) - jnp.log(deviation)
    each = divergence.sum(axis=-1)
    return self.beta * jnp.sum(each * step.mask) / jnp.sum(step.mask)

  def wrap(self, model: nn.Module, image_shape: tuple[int, int, int]) -> nn.Module:
    """The model with the bottleneck before its last module.

    Raises:
      InputError: The answer does not hang on that module alone.
    """
    *_, last = list_children(model, image_shape)
    fields = {
      field.name: getattr(model, field.name)
      for field in dataclasses.fields(model)
      if field.init and field.name not in ('parent', 'name')
    }
    narrowed = _subclass(type(model))(**fields, narrowed=(last, self.size))
    variables = partition.arbitrary_variables(narrowed, image_shape)
    images = jax.random.uniform(jax.random.key(0), (2, *image_shape))
    if not partition.true_cuts(narrowed, variables, images, (NAME,))[NAME]:
      raise InputError(
        f"defence '{self.text}' puts its bottleneck before the last module, '{last}',"
        ' but the answer does not come from that one alone; give a model whose last'
        ' module makes the logits'
      )
    return narrowed


def split_statistics(statistics: jax.Array) -> tuple[jax.Array, jax.Array]:
  """[B, 2 k] -> the means [B, k] and the deviations [B, k], which are above 0."""
  mean, raw = jnp.split(statistics, 2, axis=-1)
  return mean, nn.softplus(raw - _SHIFT)


class Bottleneck(nn.Module):
  """[B, d] -> [B, k], a sample of the Gaussians that the features are mapped to."""

  size: int = 0

  @nn.compact
  def __call__(self, features: jax.Array) -> jax.Array:
    """Draws from the random stream `bottleneck`, in evaluation too."""
    size = self.size or max(1, features.shape[-1] // 2)
    statistics = nn.Dense(2 * size, name='statistics')(features)
    mean, deviation = split_statistics(statistics)
    key = self.make_rng('bottleneck')
    return mean + deviation * jax.random.normal(key, mean.shape, mean.dtype)


@functools.cache
def _subclass(cls: type[nn.Module]) -> type[nn.Module]:
  """The class of a model with a bottleneck: it keeps its fields and its splits."""

  class Bottlenecked(cls):
    """The model with a bottleneck in front of the module `narrowed[0]`."""

    narrowed: tuple[str, int] = ('logits', 0)

    @nn.compact
    def __call__(self, *args, **kwargs):
      last, size = self.narrowed
      narrow = Bottleneck(size, name=NAME)

      def insert(call, given, options, context):
        module = context.module
        is_last = module.path == (*self.path, last)
        if is_last and context.method_name == '__call__':
          features, *rest = given
          given = narrow(features.reshape(len(features), -1)), *rest
        return call(*given, **options)

      with nn.intercept_methods(insert):
        return super().__call__(*args, **kwargs)

  Bottlenecked.__name__ = Bottlenecked.__qualname__ = cls.__name__
  return Bottlenecked
