"""Where a model can be cut: the names of its modules, and what they name.

Any linen module with named blocks can be cut: nothing here knows a model class.
"""

import fnmatch
import glob
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import jaxpr_costs
from gpz_jax.models import calls as calls_lib
from gpz_jax.types import InputError, hint


class Splits(NamedTuple):
  """The named modules of a model, those it might be cut after and the others."""

  # Name -> activation shape without the batch, in the order in which the modules end.
  shapes: dict[str, jax.ShapeDtypeStruct]
  left_out: dict[str, str]  # name -> why its output cannot be sent


def list_splits(
  model: nn.Module, image_shape: tuple[int, int, int], *, where: str = '*'
) -> dict[str, jax.ShapeDtypeStruct]:
  """The modules after which `model` might be cut, see `find_splits`."""
  return find_splits(model, image_shape, where=where).shapes


def find_splits(
  model: nn.Module, image_shape: tuple[int, int, int], *, where: str = '*'
) -> Splits:
  """The modules after which `model` might be cut, and why the others are no such.

  Args:
    model: called as `model(image, train=False)`; returns logits.
    image_shape: (H, W, C).
    where: a glob on the module path ('unit_3/conv_1'). The default lists the direct
      children of the model; of a model that only wraps its one child, it lists those
      of the child. A pattern with '/' reaches deeper.

  Returns:
    The splits. A module is left out if it is called twice, does not return one array,
    has a slash in its name, or lies in a transform that hides its output. So is the one
    that gives the logits themselves, without a reason, or numbers of their shape behind
    which there is no layer, such as before a softmax. `partition.check_cuts` finds out
    whether a name is a true cut.
  """
  image = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
  calls, logits, same = _trace(model, image)
  classes = logits.shape[1:] if hasattr(logits, 'shape') else None
  splits = _list_level(calls, where)
  if where == '*' and _is_bare(splits, classes):
    splits = _find_net(calls, classes) or splits
  for last in list(splits.shapes)[-1:]:
    is_alike = splits.shapes[last].shape == classes
    if is_alike and (last in same or _is_answer(model, image, last)):
      del splits.shapes[last]  # nothing is left for the cloud
  return splits


# Path of each module -> the shapes of its calls, and what was captured.
Calls = dict[str, tuple[list[Any], Sequence[jax.Array]]]


def _trace(model: nn.Module, image: Any) -> tuple[Calls, Any, set[str]]:
  """The calls of modules, the logits, and the modules whose output these are."""
  # Filled while tracing. Its keys keep the forward order; the dictionary that
  # eval_shape returns has them sorted.
  shapes: dict[str, list[Any]] = {}
  same: set[str] = set()

  # The order in which modules are left is the forward order of their outputs; a module
  # that contains another is left after it.
  def note(call, args, kwargs, context):
    result = call(*args, **kwargs)
    path = '/'.join(context.module.path)
    if context.method_name == '__call__' and path:
      is_addressable = not any('/' in name for name in context.module.path)
      shape = getattr(result, 'shape', None) if is_addressable else 'slash'
      shapes.setdefault(path, []).append(shape)
    return result

  def compare(logits, state):
    same.update(p for p in shapes if any(s is logits for s in find_sown(state, p)))
    return logits, state

  def trace(image):
    with nn.intercept_methods(note):
      return compare(
        *model.init_with_output(jax.random.key(0), image, mutable=True, **_CAPTURING)
      )

  def trace_after(image):
    variables = calls_lib.init(model, jax.random.key(0), image)
    with nn.intercept_methods(note):
      return compare(*_apply(model, variables, image))

  try:
    logits, state = jax.eval_shape(trace, image)
  except AttributeError:  # nn.SpectralNorm cannot be initialised while one captures
    shapes.clear()
    logits, state = jax.eval_shape(trace_after, image)
  calls = {path: (noted, find_sown(state, path)) for path, noted in shapes.items()}
  return calls, logits, same


_CAPTURING = {
  'train': False,
  # as `partition.capture`, so that both find the same
  'capture_intermediates': lambda module, method: (
    method == '__call__' and bool(module.path)
  ),
}


def _apply(model: nn.Module, variables: Any, image: jax.Array) -> tuple[Any, Any]:
  """The logits, and what is captured of every module."""
  return calls_lib.lend_keys(
    lambda rngs: model.apply(
      variables, image, mutable=['intermediates'], rngs=rngs, **_CAPTURING
    )
  )


def _is_answer(model: nn.Module, image: Any, split: str) -> bool:
  """Whether no layer lies between what a module gives and the logits.

  A module's output may be the logits where it is another array: a transform such as
  nn.jit hides that the two are one, and a model may end in a softmax.
  """

  def trace(variables, image):
    logits, state = _apply(model, variables, image)
    return logits, find_sown(state, split)[0]

  variables = jax.eval_shape(
    lambda image: calls_lib.init(model, jax.random.key(0), image), image
  )
  jaxpr = jax.make_jaxpr(trace)(variables, image).jaxpr
  return not jaxpr_costs.has_layer_between(jaxpr, *jaxpr.outvars)


def _list_level(calls: Calls, where: str) -> Splits:
  """The modules that a glob names, with the one that gives the logits."""
  splits = Splits({}, {})
  for path, (noted, sown) in calls.items():
    if path.count('/') != where.count('/') or not fnmatch.fnmatchcase(path, where):
      continue
    if reason := _why_not(noted, sown):
      splits.left_out[path] = reason
    else:
      splits.shapes[path] = jax.ShapeDtypeStruct(sown[0].shape[1:], sown[0].dtype)
  return splits


def _is_bare(splits: Splits, classes: tuple[int, ...] | None) -> bool:
  """Whether there is no split but perhaps one of the logits' shape."""
  return [each.shape for each in splits.shapes.values()] in ([], [classes])


def _find_net(calls: Calls, classes: tuple[int, ...] | None) -> Splits | None:
  """The splits of the net that a model wraps: of its one child, of the child's, ...

  Args:
    calls: As of `_trace`.
    classes: Shape of the logits of one image; None where they are no array.

  Returns:
    None where no module has a single child that holds splits.
  """
  level = ''
  while True:
    inside = [path for path in calls if path.startswith(level)]
    children = [path for path in inside if '/' not in path.removeprefix(level)]
    if len(children) != 1:
      return None
    level = f'{children[0]}/'
    splits = _list_level(calls, f'{glob.escape(level)}*')
    if not _is_bare(splits, classes):
      return splits


def find_sown(state: Any, split: str) -> Sequence[jax.Array]:
  """What linen captured of each call of a module; () where nothing was."""
  node = state.get('intermediates', {})
  for name in split.split('/'):
    node = node.get(name, {})
  return node.get('__call__', ())


def list_read(
  model: nn.Module, image_shape: tuple[int, int, int], names: Sequence[str]
) -> dict[str, frozenset[str]]:
  """The variables that what each split sends in evaluation depends on.

  They need not have the name of a module: an NNX module in a list has another one, a
  transform hides those in it, and a model may own parameters itself.

  Args:
    model: called as `model(image, train=False)`.
    image_shape: (H, W, C).
    names: names from `list_splits`.

  Returns:
    Name -> variables such as 'params/units/0/conv/kernel'.
  """
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(
    lambda image: calls_lib.init(model, jax.random.key(0), image), image
  )

  def trace(variables, image):
    _, state = _apply(model, variables, image)
    return [find_sown(state, name)[0] for name in names]

  found = jaxpr_costs.used_leaves(trace, variables, image)
  return dict(zip(names, found, strict=True))


def _why_not(noted: list[Any], sown: Sequence[Any]) -> str:
  """Why the output of a module cannot be sent; '' where it can.

  Args:
    noted: The shape of each of its calls, None for what is no array.
    sown: What `capture` finds of it.
  """
  if noted[0] == 'slash':
    return 'its name has a slash'
  if not sown or (None not in noted and noted != [leaf.shape for leaf in sown]):
    return (
      'a transform such as nn.vmap or nn.scan hides its output; call it in a module of'
      ' its own'
    )
  if len(noted) > 1:
    return 'it is called more than once'
  if noted[0] is None:
    return 'it does not return one array'
  if noted[0][:1] != (2,):
    return 'its output has no batch in front'
  if jnp.issubdtype(sown[0].dtype, jnp.complexfloating):
    return 'its output is complex; return real and imaginary parts as channels'
  return ''


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


def unknown_split(
  model: nn.Module, image_shape: tuple[int, ...], split: str
) -> InputError:
  """The error about a split that a model does not have, or that nothing captures."""
  height, width, channels = image_shape
  known = list_splits(model, (height, width, channels))
  return InputError(
    f"split '{split}' is not in the model{hint(split, known)}; list_splits gives the"
    ' names'
  )


def _by_number(entry: str, splits: Sequence[str]) -> list[str]:
  numbers = [name.rpartition('_')[2] for name in splits]
  found = [name for name, n in zip(splits, numbers, strict=True) if n == entry]
  are_positions = all(
    int(n) == i for i, n in enumerate(numbers, 1) if n.isdecimal()
  ) and any(n.isdecimal() for n in numbers)
  if found or not (are_positions and entry.isdecimal()):
    return found
  return list(splits[int(entry) - 1 : int(entry)]) if int(entry) else []
