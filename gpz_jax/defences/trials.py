"""A defence of the user's own, called on shapes before anything is trained."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import option_text, partition
from gpz_jax.defences import cuts, specs
from gpz_jax.defences.protocol import Defence, Step, bind
from gpz_jax.models import calls
from gpz_jax.types import InputError, first_line

_BATCH = 2


def check(
  text: str, model: nn.Module, image_shape: tuple[int, int, int], num_classes: int
) -> None:
  """Refuses a defence of the user's own whose methods return something else.

  Args:
    text: The defence; those that come with the library are not tried.
    model: The target, as `defences.wrap` gives it.
    image_shape: (H, W, C).
    num_classes: K.

  Raises:
    InputError: Its penalty is no number, or what it sends has another shape or type
      than the activation; or one of its methods raises.
  """
  if not option_text.is_own(text, specs.DEFENCES):
    return
  defence = specs.parse(text)
  splits = partition.list_splits(model, image_shape)
  images = jax.ShapeDtypeStruct((_BATCH, *image_shape), jnp.float32)
  if defence.overrides('penalty'):
    reads = defence.list_reads(model, image_shape)
    _check_penalty(text, defence, model, reads, images, num_classes)
  for split in cuts.list_changed(text, model, image_shape, tuple(splits)):
    shape = (_BATCH, *splits[split].shape)
    _check_send(text, defence, jax.ShapeDtypeStruct(shape, splits[split].dtype), split)


def _check_penalty(text, defence: Defence, model, reads, images, num_classes) -> None:
  def penalty(images, labels):
    variables = calls.init(model, jax.random.key(0), images)
    _, activations = partition.capture(model, variables, images, reads)
    step = Step(
      images=images,
      labels=labels,
      mask=jnp.ones(_BATCH),
      logits=jnp.zeros((_BATCH, num_classes)),
      activations=activations,
    )
    return jnp.asarray(_with_numbers(defence).penalty(step), jnp.float32)

  labels = jax.ShapeDtypeStruct((_BATCH,), jnp.int32)
  found = _try(f"the penalty of defence '{text}'", penalty, images, labels)
  if found.shape:
    raise InputError(
      f"the penalty of defence '{text}' has shape {found.shape}; return one number, as"
      ' by .mean()'
    )


def _check_send(text, defence: Defence, activation, split: str) -> None:
  def send(activation):
    return jnp.asarray(_with_numbers(defence).send(activation, jax.random.key(0)))

  found = _try(f"`send` of defence '{text}' at {split}", send, activation)
  if (found.shape, found.dtype) != (activation.shape, activation.dtype):
    raise InputError(
      f"`send` of defence '{text}' makes {found.dtype}{list(found.shape)} of"
      f' {activation.dtype}{list(activation.shape)} at {split}; return the same shape'
      ' and type'
    )


def _with_numbers(defence: Defence) -> Defence:
  """The defence as a program has it: its traced fields are arrays."""
  numbers = {name: jnp.float32(value) for name, value in defence.numbers.items()}
  return bind(defence, numbers)


def _try(what: str, function, *shapes) -> jax.ShapeDtypeStruct:
  try:
    return jax.eval_shape(function, *shapes)
  except InputError:
    raise
  except Exception as error:  # anything may go wrong in foreign code
    raise InputError(f'{what} cannot be called ({first_line(error)})') from error
