"""Cuts a model in two: where it can be cut, both halves, and what a cut costs.

A split is a named linen module whose output is the activation that would be sent.
Any linen module with named blocks can be cut: nothing here knows a model class.
"""

import fnmatch
import math
from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import jaxpr_costs
from gpz_jax.types import PREDICTION, InputError, hint

Variables = dict[str, Any]


def list_splits(
  model: nn.Module, image_shape: tuple[int, int, int], *, where: str = '*'
) -> dict[str, jax.ShapeDtypeStruct]:
  """The modules after which `model` might be cut, in forward order.

  Args:
    model: called as `model(image, train=False)`; returns logits.
    image_shape: (H, W, C).
    where: a glob on the module path ('unit_3/conv_1'). The default lists the direct
      children of the model; a pattern with '/' reaches deeper.

  Returns:
    Name -> activation shape without the batch, in the order in which the modules end.
    A module is left out if it is called twice, does not return one array, has a slash
    in its name, or gives the logits themselves. `check_cuts` finds out whether a name
    is a true cut.
  """
  # Filled while tracing. Its keys keep the forward order; the dictionary that
  # eval_shape returns has them sorted.
  outputs: dict[str, list[Any]] = {}

  # The order in which modules are left is the forward order of their outputs; a module
  # that contains another is left after it.
  def note(call, args, kwargs, context):
    result = call(*args, **kwargs)
    path = '/'.join(context.module.path)
    is_addressable = not any('/' in name for name in context.module.path)
    if context.method_name == '__call__' and path and is_addressable:
      outputs.setdefault(path, []).append(result)
    return result

  def trace(image):
    with nn.intercept_methods(note):
      logits, _ = model.init_with_output(jax.random.key(0), image, train=False)
    return logits, dict(outputs)

  image = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  logits, found = jax.eval_shape(trace, image)
  splits = {}
  for path in outputs:
    calls = found[path]
    single = len(calls) == 1 and hasattr(calls[0], 'shape')
    listed = path.count('/') == where.count('/') and fnmatch.fnmatchcase(path, where)
    if single and listed and calls[0].shape[:1] == (2,):
      splits[path] = jax.ShapeDtypeStruct(calls[0].shape[1:], calls[0].dtype)
  last = next(reversed(splits), None)
  if last is not None and splits[last].shape == logits.shape[1:]:
    del splits[last]  # the logits: nothing is left for the cloud
  return splits


def select_splits(wanted: Sequence[str], splits: Sequence[str]) -> tuple[str, ...]:
  """The splits that `wanted` names, in forward order.

  Args:
    wanted: Names, globs ('feat_*') or the number that a name ends in ('30'). Where
      these numbers are positions, the position of a name without a number will do too:
      '1' is `input_layer`.
    splits: All names, in forward order.

  Raises:
    InputError: an entry names no split.
  """
  chosen = set()
  for entry in wanted:
    found = _by_number(entry, splits) or fnmatch.filter(splits, entry)
    if not found:
      raise InputError(f"split '{entry}' is not in the model{hint(entry, splits)}")
    chosen.update(found)
  return tuple(name for name in splits if name in chosen)


def _by_number(entry: str, splits: Sequence[str]) -> list[str]:
  numbers = [name.rpartition('_')[2] for name in splits]
  found = [name for name, n in zip(splits, numbers, strict=True) if n == entry]
  are_positions = all(
    int(n) == i for i, n in enumerate(numbers, 1) if n.isdecimal()
  ) and any(n.isdecimal() for n in numbers)
  if found or not (are_positions and entry.isdecimal()):
    return found
  return list(splits[int(entry) - 1 : int(entry)]) if int(entry) else []


def capture(
  model: nn.Module, variables: Variables, images: jax.Array, splits: Sequence[str]
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """One forward pass that also returns the activations at `splits`.

  Args:
    model: the target.
    variables: its parameters and batch statistics. `targets.capture` takes what
      `targets.train` returns instead.
    images: [B, H, W, C] float32 in [0, 1].
    splits: names from `list_splits`, or PREDICTION for the logits.

  Returns:
    Logits [B, K] and name -> activation [B, ...].

  Raises:
    InputError: the variables are those of several targets, as `targets.train` returns.
  """
  if hasattr(variables, 'best'):
    raise InputError(
      'these are targets stacked over lanes; targets.capture takes all of them'
    )
  chex.assert_rank(images, 4, custom_message='images must be [B, H, W, C]')
  wanted = {tuple(split.split('/')) for split in splits if split != PREDICTION}
  logits, state = model.apply(
    variables,
    images,
    train=False,
    capture_intermediates=lambda module, method: (
      method == '__call__' and module.path in wanted
    ),
    mutable=['intermediates'],
  )
  return logits, {
    split: logits if split == PREDICTION else _captured(state, split)
    for split in splits
  }


def _captured(state: Any, split: str) -> jax.Array:
  node = state['intermediates']
  for name in split.split('/'):
    node = node[name]
  return node['__call__'][0]


def edge(
  model: nn.Module, variables: Variables, images: jax.Array, split: str
) -> jax.Array:
  """What the device sends: the activation [B, ...] at `split` for images [B, H, W, C].

  Under jit the compiler drops everything behind the split.
  """
  return capture(model, variables, images, (split,))[1][split]


def cloud(
  model: nn.Module,
  variables: Variables,
  activation: jax.Array,
  split: str,
  *,
  image_shape: tuple[int, int, int],
) -> jax.Array:
  """What the cloud computes: logits [B, K] from the activation [B, ...] at `split`.

  The whole model is traced with the module at `split` replaced by `activation`; under
  jit the edge is dead code. Right only if `split` is a true cut (see `check_cuts`).
  """

  if len(image_shape) != 3:
    raise ValueError(f'image_shape must be (H, W, C), got {image_shape}')

  # An interceptor sees every call of a module's method. Where it does not call on, the
  # module's own output, and with it the whole edge, feeds nothing.
  def resume(call, args, kwargs, context):
    at_split = '/'.join(context.module.path) == split
    if at_split and context.method_name == '__call__':
      return activation
    return call(*args, **kwargs)

  # The edge still has to be traced, so it gets images of zeros.
  blank = jnp.zeros((len(activation), *image_shape), jnp.float32)
  with nn.intercept_methods(resume):
    return jnp.asarray(model.apply(variables, blank, train=False))


def true_cuts(
  model: nn.Module, variables: Variables, images: jax.Array, splits: Sequence[str]
) -> dict[str, bool]:
  """For each split, whether nothing but its activation crosses it.

  A true cut is one where cloud(edge(x)) == model(x). This runs without jit, because
  compiling the model once for each split takes far longer than two images do.
  """
  chex.assert_rank(images, 4, custom_message='images must be [B, H, W, C]')
  if not splits:
    return {}
  logits, activations = capture(model, variables, images, splits)
  height, width, channels = images.shape[1:]
  image_shape = (height, width, channels)
  resumed = {
    split: cloud(model, variables, sent, split, image_shape=image_shape)
    for split, sent in activations.items()
  }
  return {
    split: bool(np.allclose(logits, found, rtol=1e-4, atol=1e-5))
    for split, found in resumed.items()
  }


def arbitrary_variables(model: nn.Module, image_shape: tuple[int, int, int]):
  """Variables of the right shapes, under which no two activations agree by chance.

  They are enough to check cuts with, and spare compiling the model's initialisers.
  """
  blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  shapes = jax.eval_shape(
    lambda x: model.init(jax.random.key(0), x, train=False), blank
  )
  rng = np.random.default_rng(0)

  def draw(leaf):
    if leaf.ndim < 2:  # biases, norms: positive, so that variances are
      return rng.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
    fan_in = math.prod(leaf.shape[:-1])
    return (rng.normal(size=leaf.shape) / math.sqrt(fan_in)).astype(leaf.dtype)

  return jax.tree.map(draw, shapes)


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
      are sent beside them, in 8 bytes.

  Returns:
    Name -> edge_params, edge_flops (a multiplication and an addition count as two;
    convolutions and matrix products only, one image), payload_bytes,
    payload_bytes_float16, and edge_params_share, edge_flops_share of the whole model.
  """
  splits = tuple(list_splits(model, image_shape) if splits is None else splits)
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(
    lambda x: model.init(jax.random.key(0), x, train=False), image
  )

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
      'edge_params_share': params / whole[0],
      'edge_flops': flops,
      'edge_flops_share': flops / whole[1],
      'payload_bytes': _payload_bytes(activation.size, payload_bits),
      'payload_bytes_float16': 2 * activation.size,
    }
    for split, (params, flops), activation in zip(splits, edges, sent, strict=True)
  }


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
  found = {PREDICTION: type(model).__name__}

  def note(call, args, kwargs, context):
    found['/'.join(context.module.path)] = type(context.module).__name__
    return call(*args, **kwargs)

  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with nn.intercept_methods(note):
    jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
  return {split: found[split] for split in splits}
