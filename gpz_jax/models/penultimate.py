"""The features of a classifier: what its last fully connected layer is given."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import jaxpr_costs
from gpz_jax.models import calls, nnx_models, own_models
from gpz_jax.types import InputError


class _Call(NamedTuple):
  """A call of a module that may be the last layer."""

  path: tuple[str, ...]  # of its parameters
  given: jax.Array
  result: jax.Array


def apply(
  model: nn.Module,
  variables: Any,
  images: jax.Array,
  call: Callable[..., jax.Array] | None = None,
  key: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
  """The logits, and what the last layer is given.

  The last layer is the module that is called last among those that have parameters
  themselves and make an array of the logits' shape of features [B, d].

  Args:
    model: The classifier, in evaluation.
    variables: Its variables.
    images: [B, H, W, C] float32 in [0, 1].
    call: Computes what `model.apply` does, such as a method of an engine; it is called
      as `call(model, variables, images, train=False, rngs=rngs)`.
    key: The key of what the model draws, see `calls.lend_keys`.

  Returns:
    Logits [B, K] and features [B, d], both of the logits' type.

  Raises:
    InputError: No module of the model is such a layer, see `check`.
  """
  check(model, variables, images.shape[1:])
  logits, layer = _find(model, variables, images, call, key)
  return logits, layer.given.astype(logits.dtype)


def check(model: nn.Module, variables: Any, image_shape: tuple[int, ...]) -> int:
  """The number of features of a model; computes nothing.

  A lifted transform such as `nn.jit` or `nn.remat` hides the layers in it. Another
  layer before it could then pass for the last one. So nothing behind the layer that is
  found may read the image or a parameter of two or more axes.

  Args:
    model: The classifier.
    variables: Its variables, or their shapes.
    image_shape: (H, W, C) of its images.

  Raises:
    InputError: The model has no layer that is given the features, or it lies in a
      transform that hides it.
  """

  def trace(variables, images):
    logits, layer = _find(model, variables, images)
    return logits, layer.result, layer.given

  blank = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  shapes = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), variables
  )
  try:
    jaxpr = jax.make_jaxpr(trace)(shapes, blank).jaxpr
  except jax.errors.UnexpectedTracerError as error:
    raise _no_layer(model) from error
  logits, result, given = jaxpr.outvars
  if jaxpr_costs.has_layer_between(jaxpr, logits, result):
    raise _no_layer(model)
  return given.aval.shape[1]


def find_layer(model: nn.Module, image_shape: tuple[int, ...]) -> str:
  """Where the parameters of the last layer lie, such as 'net/logits'.

  Args:
    model: The classifier.
    image_shape: (H, W, C) of its images.

  Raises:
    InputError: As for `check`.
  """
  blank = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), blank)
  check(model, variables, image_shape)
  found: list[_Call] = []
  jax.eval_shape(lambda v, x: found.append(_find(model, v, x)[1]), variables, blank)
  return '/'.join(found[-1].path)


def _find(
  model: nn.Module,
  variables: Any,
  images: jax.Array,
  call: Callable[..., jax.Array] | None = None,
  key: jax.Array | None = None,
) -> tuple[jax.Array, _Call]:
  """The logits, and the call of the last layer."""
  noted: list[_Call] = []

  def note(function, args, kwargs, context):
    result = function(*args, **kwargs)
    path = nnx_models.find_place(context.module)
    given = nnx_models.first_argument(context.module, args)
    is_call = context.method_name == '__call__' and path
    if is_call and getattr(given, 'ndim', 0) == 2 and hasattr(result, 'shape'):
      noted.append(_Call(path, given, result))
    return result

  def run(rngs):
    noted.clear()
    with nn.intercept_methods(note):
      if call is None:
        return model.apply(variables, images, train=False, rngs=rngs)
      return call(model, variables, images, train=False, rngs=rngs)

  logits = jnp.asarray(calls.lend_keys(run, key))
  same = [each for each in noted if each.result.shape == logits.shape]
  layer = _find_layer(variables, same)
  if layer is None:
    raise _no_layer(model)
  return logits, layer


def _find_layer(variables: Any, noted: list[_Call]) -> _Call | None:
  """The call of the last layer; None where nothing but what holds it was noted."""
  found = [each for each in noted if _count_own(variables, each.path) is not None]
  if not found:
    return None
  depth = len(found[-1].path)  # what is called last may hold the layer
  inside = [each for each in found if each.path[:depth] == found[-1].path]
  layers = [each for each in inside if _count_own(variables, each.path)]
  return layers[-1] if layers else None


def _count_own(variables: Any, path: tuple[str, ...]) -> int | None:
  """How many parameters a module has beside those of its modules; None without any."""
  node = variables.get('params', {})
  for name in path:
    if not isinstance(node, Mapping) or name not in node:
      return None
    node = node[name]
  if not isinstance(node, Mapping):
    return None
  return sum(hasattr(leaf, 'shape') for leaf in node.values())


def _no_layer(model: nn.Module) -> InputError:
  name = own_models.class_name(model)
  return InputError(
    f'{name} has no features: {name} computes its logits by no layer that can be seen'
    ' and is given [B, d]; let its last layer be a module with parameters, such as'
    ' nn.Dense, outside any transform such as nn.jit or nn.remat'
  )
