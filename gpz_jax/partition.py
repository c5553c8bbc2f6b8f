"""Cuts a model in two: where it can be cut, both halves, and what a cut costs.

A split is a named linen module whose output is the activation that would be sent.
Any linen module with named blocks can be cut: nothing here knows a model class.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import jaxpr_costs
from gpz_jax.models import calls, own_models, skips
from gpz_jax.models.calls import arbitrary_variables
from gpz_jax.splits import (
  Splits,
  find_sown,
  find_splits,
  list_splits,
  select_splits,
  unknown_split,
)
from gpz_jax.types import PREDICTION, InputError

_NOISE = 824_637_501  # a seed that nobody's images were drawn from

__all__ = [
  'Splits',
  'arbitrary_variables',
  'capture',
  'check_cuts',
  'cloud',
  'edge',
  'find_splits',
  'list_splits',
  'select_splits',
  'split_costs',
  'true_cuts',
]

Variables = dict[str, Any]


def capture(
  model: nn.Module,
  variables: Variables,
  images: jax.Array,
  splits: Sequence[str],
  *,
  key: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """One forward pass that also returns the activations at `splits`.

  Args:
    model: the target.
    variables: its parameters, batch statistics and constants. `targets.capture` takes
      what `targets.train` returns instead.
    images: [B, H, W, C] float32 in [0, 1].
    splits: names from `list_splits`, or PREDICTION for the logits.
    key: the key of what the model draws, if it does so in evaluation; by default the
      same in each call, see `calls.lend_keys`.

  Returns:
    Logits [B, K] and name -> activation [B, ...].

  Raises:
    InputError: the variables are those of several targets, as `targets.train` returns;
      a split is not in the model; or the images are not floats in [0, 1].
  """
  if hasattr(variables, 'best'):
    raise InputError(
      'these are targets stacked over lanes; targets.capture takes all of them'
    )
  skips.check_variables(model, variables)
  calls.check_pixels(images)
  wanted = {tuple(split.split('/')) for split in splits if split != PREDICTION}

  def apply(rngs):
    return model.apply(
      variables,
      images,
      train=False,
      capture_intermediates=lambda module, method: (
        method == '__call__' and module.path in wanted
      ),
      mutable=['intermediates'],
      rngs=rngs,
    )

  logits, state = calls.lend_keys(apply, key)
  found = {split: find_sown(state, split) for split in splits if split != PREDICTION}
  if hidden := [split for split, sown in found.items() if not sown]:
    raise unknown_split(model, images.shape[1:], hidden[0])
  return logits, {
    split: logits if split == PREDICTION else found[split][0] for split in splits
  }


def edge(
  model: nn.Module,
  variables: Variables,
  images: jax.Array,
  split: str,
  *,
  key: jax.Array | None = None,
) -> jax.Array:
  """What the device sends: the activation [B, ...] at `split` for images [B, H, W, C].

  Under jit the compiler drops everything behind the split.
  """
  return capture(model, variables, images, (split,), key=key)[1][split]


def cloud(
  model: nn.Module,
  variables: Variables,
  activation: jax.Array,
  split: str,
  *,
  image_shape: tuple[int, int, int],
  key: jax.Array | None = None,
) -> jax.Array:
  """What the cloud computes: logits [B, K] from the activation [B, ...] at `split`.

  The whole model is traced with the module at `split` replaced by `activation`; under
  jit the edge is dead code. Right only if `split` is a true cut (see `check_cuts`).

  Raises:
    InputError: the split is not in the model.
  """
  if len(image_shape) != 3:
    raise ValueError(f'image_shape must be (H, W, C), got {image_shape}')
  # The edge still has to be traced, so it gets images of zeros.
  blank = jnp.zeros((len(activation), *image_shape), jnp.float32)
  return _resume(model, variables, activation, split, blank, key)


def _resume(
  model: nn.Module,
  variables: Variables,
  activation: jax.Array,
  split: str,
  blank: jax.Array,
  key: jax.Array | None = None,
) -> jax.Array:
  """The logits from an activation; what crosses it otherwise is that of `blank`."""
  if split == PREDICTION:
    return activation
  is_met = False

  # An interceptor sees every call of a module's method. Where it does not call on, the
  # module's own output, and with it the whole edge, feeds nothing.
  def resume(call, args, kwargs, context):
    nonlocal is_met
    at_split = '/'.join(context.module.path) == split
    if at_split and context.method_name == '__call__':
      is_met = True
      return activation
    return call(*args, **kwargs)

  def apply(rngs):
    with nn.intercept_methods(resume):
      return jnp.asarray(model.apply(variables, blank, train=False, rngs=rngs))

  logits = calls.lend_keys(apply, key)
  if not is_met:
    raise unknown_split(model, blank.shape[1:], split)
  return logits


def true_cuts(
  model: nn.Module, variables: Variables, images: jax.Array, splits: Sequence[str]
) -> dict[str, bool]:
  """For each split, whether nothing but its activation crosses it.

  A true cut is one where cloud(edge(x)) == model(x). This runs without jit, because
  compiling the model once for each split takes far longer than two images do.
  """
  calls.check_pixels(images)
  if not splits:
    return {}
  logits, activations = capture(model, variables, images, splits)
  # Noise, because an image may be black, and then nothing would differ from zeros.
  other = jax.random.uniform(jax.random.key(_NOISE), images.shape)
  resumed = {
    split: _resume(model, variables, sent, split, other)
    for split, sent in activations.items()
  }
  return {
    split: bool(np.allclose(logits, found, rtol=1e-4, atol=1e-5))
    for split, found in resumed.items()
  }


def check_cuts(
  model: nn.Module, variables: Variables, images: jax.Array, splits: Sequence[str]
) -> None:
  """Checks that every name in `splits` is a true cut of the model.

  Raises:
    InputError: naming the first split that is not: something computed before it is
      used behind it as well (it lies inside a residual or dense block).
  """
  for split, is_cut in true_cuts(model, variables, images, splits).items():
    if not is_cut:
      raise InputError(
        f"split '{split}' is not a true cut: the cloud needs more than its activation;"
        ' choose a split outside the residual or dense block it lies in'
      )


def split_costs(
  model: nn.Module,
  image_shape: tuple[int, int, int],
  num_classes: int,
  splits: Sequence[str] | None = None,
  *,
  payload_bits: int = 32,
) -> dict[str, dict[str, float]]:
  """What each split asks of the device and of the network.

  Args:
    model: the target.
    image_shape: (H, W, C).
    num_classes: K; checked against the logits.
    splits: names, PREDICTION among them if wanted; all of `list_splits` by default.
    payload_bits: bits of each number that is sent. Below 16 the two ends of the range
      are sent beside them, in 8 bytes. A prediction is sent in 32 bits.

  Returns:
    Name -> edge_params, edge_flops (a multiplication and an addition count as two;
    convolutions and matrix products only, one image), payload_bytes,
    payload_bytes_float16, and edge_params_share, edge_flops_share of the whole model. A
    share is 0 where the whole model has none.
  """
  splits = tuple(list_splits(model, image_shape) if splits is None else splits)
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), image)

  def outputs(variables, x):
    logits, sent = capture(model, variables, x, splits)
    return [logits, *(sent[split] for split in splits)]

  logits, *sent = jax.eval_shape(outputs, variables, image)
  if logits.shape != (1, num_classes):
    raise InputError(
      f'the model returns logits of shape {logits.shape[1:]}, expected ({num_classes},)'
    )
  whole, *edges = jaxpr_costs.used_params_and_flops(outputs, variables, image)
  return {
    split: {
      'edge_params': params,
      'edge_params_share': _share(params, whole[0]),
      'edge_flops': flops,
      'edge_flops_share': _share(flops, whole[1]),
      'payload_bytes': _payload_bytes(
        activation.size, 32 if split == PREDICTION else payload_bits
      ),
      'payload_bytes_float16': 2 * activation.size,
    }
    for split, (params, flops), activation in zip(splits, edges, sent, strict=True)
  }


def _share(part: int, whole: int) -> float:
  """A part over the whole; 0 where the whole is nothing, as without any product."""
  return part / whole if whole else 0.0


def _payload_bytes(numbers: int, bits: int) -> int:
  """Bytes of one activation; a quantised one is sent with the ends of its range."""
  return -(-numbers * bits // 8) + (8 if bits < 16 else 0)


def list_modules(
  model: nn.Module, image_shape: tuple[int, int, int], splits: Sequence[str]
) -> dict[str, str]:
  """The class of the module at each split, such as Conv or Dropout.

  Args:
    model: the target.
    image_shape: (H, W, C).
    splits: names from `list_splits`; PREDICTION is the class of the model.
  """
  found = {PREDICTION: own_models.class_name(model)}

  def note(call, args, kwargs, context):
    found['/'.join(context.module.path)] = type(context.module).__name__
    return call(*args, **kwargs)

  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with nn.intercept_methods(note):
    jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
  return {split: found[split] for split in splits}
