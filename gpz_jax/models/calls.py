"""How any model is called: its variables, and a random key for each of its streams.

A model of the user's own may box its parameters, keep collections of its own and draw
from random streams of any name (a defence by noise does, in evaluation too). All of
that is met here, so that the rest of the library need not know of it.
"""

import inspect
import math
import re
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import errors
from jax.core import Tracer

from gpz_jax.types import InputError

# No image in [0, 1] comes near them. One of bytes goes beyond the first, and one that
# was standardised beyond the second, where it has any dark pixel.
MOST_PIXEL, LEAST_PIXEL = 8.0, -0.5
LEARNED = ('params', 'batch_stats')  # what training moves; all else is constant
# What tells a module whether it trains, and what it is called with in training.
SWITCHES = {
  'train': True,
  'training': True,
  'is_training': True,
  'deterministic': False,
  'use_running_average': False,
}
_TRIALS = 3  # other keys that a stream is tried with: one draw may agree by chance
Result = TypeVar('Result')
Variables = dict[str, Any]


def init(model: nn.Module, key: jax.Array, sample: jax.Array) -> Variables:
  """The variables of a fresh model, without the boxes of `nn.with_partitioning`.

  A box says how an array is laid out over a mesh of devices, which no lane is.

  Args:
    model: The module; it is called as `model(sample, train=False)`.
    key: The key that everything is drawn from.
    sample: [B, ...], a blank input.
  """
  return nn.meta.unbox(model.init(key, sample, train=False))


def switches(kind: type, *, train: bool) -> dict[str, bool]:
  """The keywords that tell modules of a class whether they train; {} if it has none."""
  known = inspect.signature(kind.__call__).parameters
  return {n: train is training for n, training in SWITCHES.items() if n in known}


def constants(variables: Variables) -> Variables:
  """The collections of the model's own, which training leaves as they are."""
  return {name: tree for name, tree in variables.items() if name not in LEARNED}


def pack(variables: Variables) -> Variables:
  """The collections beside params as one tree: batch_stats, and '/name' of the others.

  A model without collections of its own then has the tree it always had, and its
  checkpoints can be read.
  """
  packed = {f'/{name}': tree for name, tree in constants(variables).items()}
  return {**variables.get('batch_stats', {}), **packed}


def unpack(params: Any, packed: Variables) -> Variables:
  """The variables `model.apply` takes, of its params and of what `pack` gave."""
  stats = {name: tree for name, tree in packed.items() if name[:1] != '/'}
  own = {name[1:]: tree for name, tree in packed.items() if name[:1] == '/'}
  return {'params': params, 'batch_stats': stats, **own}


def overlay(variables: Any, given: Any) -> Any:
  """Variables whose leaves are those that are given, and their own where none is.

  Args:
    variables: What `init` gave, or its shapes.
    given: The same tree, which may lack branches.

  Raises:
    InputError: A leaf is given that the variables do not have, or of another shape.
  """

  def replace(own, other, path):
    if not isinstance(own, dict):
      if own.shape != other.shape:
        raise InputError(
          f'weights of {path[:-1]} are {other.shape}, but the model has {own.shape}'
          ' there'
        )
      return other
    if strange := sorted(other.keys() - own.keys()):
      raise InputError(f'weights of {path}{strange[0]} are for no part of the model')
    return {
      name: replace(tree, other[name], f'{path}{name}/') if name in other else tree
      for name, tree in own.items()
    }

  return replace(variables, given, '')


def check_pixels(images: jax.Array) -> None:
  """Raises InputError unless images are floats that may be in [0, 1].

  Bytes, floats up to 255 and images that were standardised before, as by torch's
  Normalize, would give activations that look like any others.
  """
  chex.assert_rank(images, 4, custom_message='images must be [B, H, W, C]')
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise InputError(
      f'images are {images.dtype}; give floats in [0, 1], as by dividing bytes by 255'
    )
  if isinstance(images, Tracer) or not images.size:
    return
  if (most := float(np.asarray(images).max())) > MOST_PIXEL:
    raise InputError(
      f'images reach {most:g}; give floats in [0, 1], as by dividing by 255'
    )
  if (least := float(np.asarray(images).min())) < LEAST_PIXEL:
    raise InputError(
      f'images reach down to {least:g}; give floats in [0, 1], before any Normalize:'
      ' models standardise images themselves'
    )


def evaluation_key(draw: jax.Array | np.integer | int) -> jax.Array:
  """The key of a batch in evaluation, where no lane has a key of its own.

  All lanes draw the same noise, in all runs: lanes that are compared differ in their
  variables alone.

  Args:
    draw: A number that tells the draws apart, such as the place of the batch.
  """
  return jax.random.fold_in(jax.random.key(0), draw)


def lend_keys(
  call: Callable[[dict[str, jax.Array]], Result],
  key: jax.Array | None = None,
  **rngs: jax.Array,
) -> Result:
  """Calls a model with a key of its own for every random stream it asks for.

  A model that asks for none is called once, and its program does not change.

  Args:
    call: Applies the model with the `rngs` it is given. It is called again for each
      stream that was missing, so that it must leave nothing behind.
    key: The key that those of missing streams are derived from; by default that of
      draw 0 in evaluation.
    **rngs: The keys of streams that are known.
  """
  while True:
    try:
      return call(rngs)
    except errors.InvalidRngError as error:
      stream = _missing_stream(error)
      if stream is None or stream in rngs:
        raise
      base = evaluation_key(0) if key is None else key
      rngs[stream] = jax.random.fold_in(base, zlib.crc32(stream.encode()))


def _missing_stream(error: errors.InvalidRngError) -> str | None:
  found = re.search(r'needs PRNG for "(.+?)"', str(error))
  return found[1] if found else None


def list_drawn(model: nn.Module, image_shape: tuple[int, int, int]) -> list[str]:
  """The random streams that what a model returns in evaluation depends on.

  A model that asks for a stream and makes nothing of it, as NNX modules do, is
  deterministic. So the model is called with several keys, under arbitrary variables.

  Args:
    model: It is called as `model(images, train=False)`.
    image_shape: (H, W, C).
  """
  variables = arbitrary_variables(model, image_shape)
  images = jax.random.uniform(jax.random.key(0), (2, *image_shape))
  asked: dict[str, jax.Array] = {}

  def call(rngs):
    result = model.apply(variables, images, train=False, rngs=rngs)
    asked.update(rngs)
    return np.asarray(result).tobytes()

  expected = lend_keys(call)
  streams = dict(asked)
  others = [evaluation_key(draw) for draw in range(1, 1 + _TRIALS)]
  return [
    stream
    for stream in streams
    if any(lend_keys(call, **{**streams, stream: key}) != expected for key in others)
  ]


def has_still_statistics(model: nn.Module, image_shape: tuple[int, int, int]) -> bool:
  """Whether there are batch_stats, and training gives all of them back as they were.

  Args:
    model: It is called as `model(images, train=True)`; only traced.
    image_shape: (H, W, C).
  """
  images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  variables = jax.eval_shape(lambda x: init(model, jax.random.key(0), x), images)
  stats = variables.pop('batch_stats', {})

  def train(stats, variables, images):
    def apply(rngs):
      variables_ = {**variables, 'batch_stats': stats}
      return model.apply(
        variables_, images, train=True, mutable=['batch_stats'], rngs=rngs
      )

    _, state = lend_keys(apply, dropout=jax.random.key(0))
    return state.get('batch_stats', {})

  jaxpr = jax.make_jaxpr(train)(stats, variables, images).jaxpr
  given = jaxpr.invars[: len(jax.tree.leaves(stats))]
  return bool(given) and list(jaxpr.outvars) == given


def arbitrary_variables(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> Variables:
  """Variables of the right shapes, under which no two activations agree by chance.

  They are enough to check cuts with, and spare compiling the model's initialisers.
  Constants are what the model makes them, since they may be indices or masks.
  """
  blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  shapes = jax.eval_shape(lambda x: init(model, jax.random.key(0), x), blank)
  rng = np.random.default_rng(0)

  def draw(leaf):
    if leaf.ndim < 2:  # biases, norms: positive, so that variances are
      return rng.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
    fan_in = math.prod(leaf.shape[:-1])
    return (rng.normal(size=leaf.shape) / math.sqrt(fan_in)).astype(leaf.dtype)

  drawn = jax.tree.map(
    draw, {name: tree for name, tree in shapes.items() if name in LEARNED}
  )
  if not constants(shapes):
    return drawn

  @jax.jit
  def make(x):  # the compiler drops the initialisers of what is not returned
    return constants(init(model, jax.random.key(0), x))

  return drawn | make(jnp.zeros(blank.shape, blank.dtype))
