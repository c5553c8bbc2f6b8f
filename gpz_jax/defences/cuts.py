"""What leaves the device at a split of a defended target, and what the cloud answers.

Only `Defence.send` acts here. A defence acts in use and not in training, so that what
it is given are trained variables.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.defences import specs
from gpz_jax.defences.protocol import Defence, bind, select
from gpz_jax.models import calls
from gpz_jax.types import PREDICTION, stable_hash


def list_changed(
  text: str, model: nn.Module, image_shape: tuple[int, int, int], splits: Any
) -> tuple[str, ...]:
  """The splits at which a defence changes what is sent.

  Args:
    text: The defence.
    model: The target.
    image_shape: (H, W, C).
    splits: The splits that are asked about.

  Raises:
    InputError: The defence names a split that is not in the model.
  """
  defence = specs.parse(text)
  if not defence.sends:
    return ()
  chosen = select(defence, model, image_shape)
  return tuple(
    split for split in splits if split != PREDICTION and defence.sends_at(split, chosen)
  )


def send(
  form: Defence,
  numbers: dict[str, Any],
  activation: jax.Array,
  split: str,
  key: jax.Array,
) -> jax.Array:
  """What is sent of an activation [B, ...] at a split where the defence acts.

  Args:
    form: The form of the defence.
    numbers: Its numbers, which may be traced.
    activation: [B, ...].
    split: The split; the draws at two splits differ.
    key: The key of the pass that gave the activation.
  """
  key = jax.random.fold_in(key, stable_hash(f'defence at {split}'))
  return bind(form, numbers).send(activation, key)


def apply(
  model: nn.Module,
  variables: Any,
  images: jax.Array,
  split: str,
  form: Defence,
  numbers: dict[str, Any],
  *,
  key: jax.Array,
) -> jax.Array:
  """The logits [B, K] of a target that is cut, from what is sent.

  At a true cut this is `partition.cloud` of the changed activation, in one pass.

  Args:
    model: The target.
    variables: Its variables.
    images: [B, H, W, C] in [0, 1].
    split: Where it is cut.
    form: The form of the defence.
    numbers: Its numbers, which may be traced.
    key: The key of what is drawn.
  """

  def change(call, args, kwargs, context):
    result = call(*args, **kwargs)
    is_split = '/'.join(context.module.path) == split
    if is_split and context.method_name == '__call__':
      return send(form, numbers, result, split, key)
    return result

  def run(rngs):
    with nn.intercept_methods(change):
      return jnp.asarray(model.apply(variables, images, train=False, rngs=rngs))

  return calls.lend_keys(run, key)
