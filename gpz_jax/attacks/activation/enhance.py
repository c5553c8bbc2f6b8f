"""Feature enhancement: what an attacker does to the activation before decoding it.

An enhancement is named by its parts in order, joined with '+', such as
'normalize_input+nn_concat'. Each part replaces the activation (`input`), is added to it
(`residual`) or is put beside it as further channels (`concat`).

Source: docs/paper.md#enhancement, Table 4 of the paper.
"""

import dataclasses
from typing import Any, Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.attacks.activation.interception import Activations
from gpz_jax.models import layers
from gpz_jax.types import InputError, hint

Mode = Literal['input', 'residual', 'concat']
DROPOUT = 0.3


def merge(x: jax.Array, enhanced: jax.Array, mode: Mode) -> jax.Array:
  """Joins an activation with what a part made of it.

  Args:
    x: The activation [..., c].
    enhanced: What the part made of it, [..., c].
    mode: How the two are joined.

  Returns:
    [..., c], or [..., 2c] for `concat`.
  """
  chex.assert_equal_shape([x, enhanced], custom_message='x and enhanced [..., c]')
  if mode == 'concat':
    return jnp.concatenate([x, enhanced], axis=-1)
  return x + enhanced if mode == 'residual' else enhanced


def spectrum(x: jax.Array) -> jax.Array:
  """The spectrum log(1 + |Re| + |Im|) of each channel, standardised per example.

  Args:
    x: [B, h, w, c], which is transformed over h and w by an orthonormal transform.

  Returns:
    [B, h, w, c], with mean 0 and deviation 1 over each example.
  """
  chex.assert_rank(x, 4, custom_message='x [B, h, w, c]')
  transform = jnp.fft.fft2(x, axes=(1, 2), norm='ortho')
  x = jnp.log1p(jnp.abs(transform.real) + jnp.abs(transform.imag))
  axes = (1, 2, 3)
  deviation = x.std(axis=axes, keepdims=True) + 1e-6
  return (x - x.mean(axis=axes, keepdims=True)) / deviation


class FFT(nn.Module):
  """The activation's spectrum, which has no parameters."""

  mode: Mode

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, c or 2c]."""
    return merge(x, spectrum(x), self.mode)


class Normalize(nn.Module):
  """Standardises each channel by the auxiliary activations' mean and deviation.

  They are constants in the collection batch_stats. `normalization_stats` computes them.
  """

  mode: Mode

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, ..., c] -> [B, ..., c or 2c]."""
    features = x.shape[-1]
    mean = self.variable('batch_stats', 'mean', jnp.zeros, (features,))
    scale = self.variable('batch_stats', 'scale', jnp.ones, (features,))
    broadcast = (1,) * (x.ndim - 1) + (-1,)
    normalized = (x - mean.value.reshape(broadcast)) * scale.value.reshape(broadcast)
    return merge(x, normalized, self.mode)


class FeatureEnhancer(nn.Module):
  """3x3 convolution, instance norm, ReLU, dropout of whole channels, 1x1 convolution.

  It has 2,622,464 parameters at 512 channels.
  """

  mode: Mode
  dropout: float = DROPOUT

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, c or 2c]."""
    features = x.shape[-1]
    y = layers.Conv(features, (3, 3), name='conv')(x)
    y = nn.relu(_instance_norm(y))
    y = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)(y)
    y = layers.Dense(features, name='pointwise')(y)
    return merge(x, y, self.mode)


def _instance_norm(x: jax.Array) -> jax.Array:
  mean = x.mean(axis=(1, 2), keepdims=True)
  variance = x.var(axis=(1, 2), keepdims=True)
  return (x - mean) * jax.lax.rsqrt(variance + 1e-5)


@dataclasses.dataclass(frozen=True)
class Part:
  """One part of an enhancement: a linen module, by its class, name and fields."""

  module: type[nn.Module]
  name: str  # the name of its variables in the decoder
  fields: dict[str, Any]

  def make(self) -> nn.Module:
    """The module, to be called inside the decoder's compact method."""
    return self.module(**self.fields, name=self.name)


PARTS: dict[str, Part] = {
  **{f'fft_{m}': Part(FFT, 'fft', {'mode': m}) for m in ('residual', 'concat')},
  **{
    f'normalize_{m}': Part(Normalize, 'normalize', {'mode': m})
    for m in ('input', 'residual', 'concat')
  },
  **{
    f'nn_{m}{suffix}': Part(FeatureEnhancer, 'nn', {'mode': m, 'dropout': dropout})
    for suffix, dropout in (('', DROPOUT), ('_no_dropout', 0.0))
    for m in ('residual', 'concat')
  },
}
# The rows of Table 4. Any other order and combination of PARTS works as well.
ENHANCEMENTS = (
  'none',
  *PARTS,
  'normalize_input+nn_concat',
  'normalize_input+nn_concat_no_dropout',
)


def parts(name: str) -> tuple[Part, ...]:
  """The parts of an enhancement, in order.

  Args:
    name: Name of the enhancement. It is 'none' or names from PARTS joined with '+'.

  Raises:
    InputError: A part is unknown, two parts are of one kind, or `normalize` comes after
      another part although its constants are those of the activation itself.
  """
  if name == 'none':
    return ()
  entries = name.split('+')
  for entry in entries:
    if entry not in PARTS:
      raise InputError(
        f"enhancement '{entry}' is not known{hint(entry, ['none', *PARTS])},"
        " joined with '+'"
      )
  found = tuple(PARTS[entry] for entry in entries)
  names = [part.name for part in found]
  if len(set(names)) < len(names):
    raise InputError(f"enhancement '{name}' has a kind of part twice; keep one of each")
  if 'normalize' in names[1:]:
    raise InputError(
      f"enhancement '{name}' normalizes after another part; put normalize first"
    )
  return found


def check(name: str, activation_shape: tuple[int, ...]) -> None:
  """Checks that an enhancement exists and works on activations of a shape.

  Args:
    name: Name of the enhancement.
    activation_shape: Shape of one activation, without the batch.

  Raises:
    InputError: It does not exist, or it does not work on them.
  """
  spatial = [part.name for part in parts(name) if part.module is not Normalize]
  if spatial and len(activation_shape) == 1:
    raise InputError(
      f"enhancement '{spatial[0]}' needs an activation (h, w, c), not"
      f' {activation_shape}; use normalize_input or none'
    )


def normalization_stats(name: str, activations: Activations) -> dict[str, Any]:
  """What an enhancement must know of the auxiliary activations, for every lane.

  Args:
    name: Name of the enhancement.
    activations: [L, N, ..., c], of any float type. The class token of tokens
      [L, N, 1 + T, c] is left out.

  Returns:
    {} or {'normalize': {'mean': [L, c], 'scale': [L, c]}}, which overwrites part of the
    decoder's batch_stats. A channel that never varies gets scale 0. It tells nothing,
    and 1 / (0 + 1e-8) would make its first deviation on test data huge.

  Raises:
    AssertionError: The activations have neither of these ranks.
  """
  if all(part.module is not Normalize for part in parts(name)):
    return {}
  message = 'activations [L, N, h, w, c], [L, N, 1 + T, c] or [L, N, n]'
  chex.assert_rank(activations, {3, 4, 5}, custom_message=message)
  if activations.ndim == 4:
    activations = activations[:, :, 1:]
  axes = tuple(range(1, activations.ndim - 1))

  @jax.jit
  def measure(x):
    mean = jnp.mean(x, axis=axes, keepdims=True, dtype=jnp.float32)
    variance = jnp.mean(jnp.square(x.astype(jnp.float32) - mean), axis=axes)
    deviation = jnp.sqrt(variance)
    scale = jnp.where(deviation > 0, 1 / (deviation + 1e-8), 0)
    return {'mean': mean.reshape(scale.shape), 'scale': scale}

  if isinstance(activations, jax.Array):
    return {'normalize': measure(activations)}
  # They are outside the device, which takes one lane of them at a time.
  found = [measure(activations[i : i + 1]) for i in range(len(activations))]
  return {'normalize': jax.tree.map(lambda *lanes: jnp.concatenate(lanes), *found)}
