"""Feature enhancement: what an attacker does to the activation before decoding it.

An enhancement is named by its parts, joined with '+', first to last:
'normalize_input+nn_concat'. Each part replaces the activation (`input`), is added to
it (`residual`) or stands beside it (`concat`).

Source: docs/paper.md#enhancement, Table 4 of the paper.
"""

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.attacks.activation.interception import Activations
from gpz_jax.models import layers
from gpz_jax.types import InputError, hint

Mode = Literal['input', 'residual', 'concat']
DROPOUT = 0.3


def merge(x: jax.Array, enhanced: jax.Array, mode: Mode) -> jax.Array:
  """[..., c] and [..., c] -> [..., c], or [..., 2c] for `concat`."""
  if mode == 'concat':
    return jnp.concatenate([x, enhanced], axis=-1)
  return x + enhanced if mode == 'residual' else enhanced


def spectrum(x: jax.Array) -> jax.Array:
  """log(1 + |Re| + |Im|) of the orthonormal 2-D transform, standardised per example.

  Args:
    x: [B, h, w, c].

  Returns:
    [B, h, w, c]; mean 0 and deviation 1 over each example.
  """
  transform = jnp.fft.fft2(x, axes=(1, 2), norm='ortho')
  x = jnp.log1p(jnp.abs(transform.real) + jnp.abs(transform.imag))
  axes = (1, 2, 3)
  deviation = x.std(axis=axes, keepdims=True) + 1e-6
  return (x - x.mean(axis=axes, keepdims=True)) / deviation


class FFT(nn.Module):
  """The activation's spectrum; no parameters."""

  mode: Mode

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, c or 2c]."""
    return merge(x, spectrum(x), self.mode)


class Normalize(nn.Module):
  """Standardises each channel by the auxiliary activations' mean and deviation.

  They are constants in the collection batch_stats, put there by
  `normalization_stats`.
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

  2,622,464 parameters at 512 channels.
  """

  mode: Mode
  dropout: float = DROPOUT

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """[B, h, w, c] -> [B, h, w, c or 2c]."""
    features = x.shape[-1]
    y = layers.Conv(features, (3, 3), kernel_init=layers.torch_default, name='conv')(x)
    y = nn.relu(_instance_norm(y))
    y = nn.Dropout(self.dropout, broadcast_dims=(1, 2), deterministic=not train)(y)
    y = nn.Dense(features, kernel_init=layers.torch_default, name='pointwise')(y)
    return merge(x, y, self.mode)


def _instance_norm(x: jax.Array) -> jax.Array:
  mean = x.mean(axis=(1, 2), keepdims=True)
  variance = x.var(axis=(1, 2), keepdims=True)
  return (x - mean) * jax.lax.rsqrt(variance + 1e-5)


@dataclasses.dataclass(frozen=True)
class Part:
  """One step of an enhancement: the linen module, by class, name and fields."""

  module: type[nn.Module]
  name: str  # of its variables in the decoder
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
# The rows of Table 4; any other order and combination of PARTS works as well.
ENHANCEMENTS = (
  'none',
  *PARTS,
  'normalize_input+nn_concat',
  'normalize_input+nn_concat_no_dropout',
)


def parts(name: str) -> tuple[Part, ...]:
  """The steps of the enhancement called `name`; none for 'none'.

  Raises:
    InputError: unknown part, one kind of part twice, or `normalize` after another part
      (its constants are those of the activation itself).
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
  """Checks that an enhancement exists and works on activations of this shape.

  Raises:
    InputError: it does not.
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
    name: of the enhancement.
    activations: [L, N, ..., c], any float type; of tokens [L, N, 1 + T, c] the class
      token is left out.

  Returns:
    {} or {'normalize': {'mean': [L, c], 'scale': [L, c]}}, to be laid over the
    decoder's batch_stats. A channel that never varies gets scale 0: it tells nothing,
    and 1 / (0 + 1e-8) would blow up its first deviation on test data.
  """
  if all(part.module is not Normalize for part in parts(name)):
    return {}
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
  # kept outside the device: one lane of them at a time
  found = [measure(activations[i : i + 1]) for i in range(len(activations))]
  return {'normalize': jax.tree.map(lambda *lanes: jnp.concatenate(lanes), *found)}
