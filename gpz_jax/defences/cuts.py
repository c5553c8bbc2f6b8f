"""What leaves the device at a split of a defended target, and what the cloud answers.

Only `Defence.send` acts here. A defence acts in use and not in training, so that what
it is given are trained variables.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import jaxpr_costs, partition
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


def is_drawn(
  text: str, model: nn.Module, image_shape: tuple[int, int, int], split: str
) -> bool:
  """Whether what is sent of one image at a split differs from one time to the next.

  Args:
    text: The defence.
    model: The target, which may draw in evaluation, too.
    image_shape: (H, W, C).
    split: The split.

  Raises:
    InputError: The defence names a split that is not in the model.
  """
  is_changed = bool(list_changed(text, model, image_shape, (split,)))
  defence = specs.parse(text) if is_changed else Defence()
  if not is_changed and not _asks_keys(model, image_shape):
    return False
  numbers = tuple(defence.numbers.items())
  return _reads_key(defence.form, numbers, model, image_shape, split)


@functools.cache
def _asks_keys(model: nn.Module, image_shape: tuple[int, int, int]) -> bool:
  """Whether a model asks for a random stream in evaluation."""
  asked = []

  def apply(variables, images):
    def call(rngs):
      asked[:] = rngs
      return model.apply(variables, images, train=False, rngs=rngs)

    return calls.lend_keys(call)

  jax.eval_shape(apply, *_shapes(model, image_shape))
  return bool(asked)


@functools.cache
def _reads_key(
  form: Defence,
  numbers: tuple[tuple[str, float], ...],
  model: nn.Module,
  image_shape: tuple[int, int, int],
  split: str,
) -> bool:
  """Whether what is sent at a split is computed from the key."""

  def sent(key, variables, images):
    activation = partition.edge(model, variables, images, split, key=key)
    if not form.sends:
      return activation
    return send(form, dict(numbers), activation, split, key)

  shapes = _shapes(model, image_shape)
  jaxpr = jax.make_jaxpr(sent)(jax.random.key(0), *shapes).jaxpr
  return jaxpr_costs.read_between(jaxpr, jaxpr.outvars[0], None)[0]


def _shapes(model: nn.Module, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
  """The shapes of a model's variables and of a batch of images."""
  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), images)
  return variables, images


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
  code: Callable[[jax.Array], jax.Array] = lambda activation: activation,
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
    code: What is read of an activation after it was sent, such as its numbers in few
      bits.
  """

  def change(call, args, kwargs, context):
    result = call(*args, **kwargs)
    is_split = '/'.join(context.module.path) == split
    if is_split and context.method_name == '__call__':
      return code(send(form, numbers, result, split, key))
    return result

  def run(rngs):
    with nn.intercept_methods(change):
      return jnp.asarray(model.apply(variables, images, train=False, rngs=rngs))

  return calls.lend_keys(run, key)
