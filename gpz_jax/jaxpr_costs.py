"""Which parameters and how much arithmetic each output of a function really uses.

The jaxpr is walked backwards from each output, through calls such as those of nn.jit
and nn.remat, so that the counts are exact for any module without loops and need no run;
a loop counts as a whole. (The cost analysis of a compiled program is no substitute: it
counts the body of a loop once.)
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend import core


def count_flops(function: Callable[..., Any], variables: Any, *args: Any) -> int:
  """Operations of the one array that a function returns, see `used_params_and_flops`.

  Args:
    function: called as `function(variables, *args)`; only traced. Returns an array.
    variables: arrays or shapes, with the collection 'params'.
    *args: arrays or shapes.
  """
  ((_, flops),) = used_params_and_flops(
    lambda v, *rest: (function(v, *rest),), variables, *args
  )
  return flops


def jaxpr_flops(closed: Any) -> int:
  """2 x multiply-accumulates of convolutions and matrix products in a jaxpr.

  The body of a loop whose length is not known counts once, and what `lax.cond` chooses
  from is not counted.
  """
  return sum(map(_equation_flops, closed.jaxpr.eqns))


def used_params_and_flops(
  function: Callable[..., Sequence[Any]], variables: Any, *args: Any
) -> list[tuple[int, int]]:
  """Parameters and floating-point operations that each output depends on.

  Args:
    function: called as `function(variables, *args)`; only traced. Returns arrays.
    variables: arrays or shapes, with the collection 'params'.
    *args: arrays or shapes.

  Returns:
    For each output the number of scalars in the leaves of variables['params'] that it
    uses, and 2 x multiply-accumulates of the convolutions and matrix products it uses.
  """
  sizes = {
    path: math.prod(leaf.shape)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    if path[0].key == 'params'
  }
  return [
    (sum(size for path, size in sizes.items() if path in used), flops)
    for used, flops in _walk(function, variables, args)
  ]


def used_leaves(
  function: Callable[..., Sequence[Any]], variables: Any, *args: Any
) -> list[frozenset[str]]:
  """The leaves of variables that each output depends on, as 'params/conv/kernel'.

  Args:
    function: As for `used_params_and_flops`.
    variables: arrays or shapes.
    *args: arrays or shapes.
  """
  return [
    frozenset(jax.tree_util.keystr(path, simple=True, separator='/') for path in used)
    for used, _ in _walk(function, variables, args)
  ]


def _walk(
  function: Callable[..., Sequence[Any]], variables: Any, args: Sequence[Any]
) -> Iterator[tuple[set[Any], int]]:
  """The paths of the variables that each output depends on, and the operations."""
  jaxpr = jax.make_jaxpr(function)(variables, *args).jaxpr
  paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(variables)]
  for output in jaxpr.outvars:
    live, flops = _live(jaxpr, {id(output)})
    # The inputs begin with the leaves of variables; those of args follow.
    inputs = zip(paths, jaxpr.invars, strict=False)
    yield {path for path, var in inputs if id(var) in live}, flops


def read_between(jaxpr: Any, output: Any, cut: Any) -> list[bool]:
  """Which inputs of a jaxpr an output depends on by other ways than through a value.

  Args:
    jaxpr: The jaxpr; loops in it count as a whole.
    output: One of its outputs.
    cut: The value, which is another of its outputs.

  Returns:
    For each input whether the output would still depend on it if the value were given.
  """
  if isinstance(output, core.Literal) or output is cut:
    return [False] * len(jaxpr.invars)
  live, _ = _live(jaxpr, {id(output)}, cut)
  return [id(var) in live for var in jaxpr.invars]


def has_layer_between(jaxpr: Any, output: Any, cut: Any) -> bool:
  """Whether an output depends on a kernel or an image by other ways than the value.

  Args:
    jaxpr: As for `read_between`. Whatever input is longer than 1 along two axes is a
      kernel or an image; a scale, a bias or a key is none.
    output: As for `read_between`.
    cut: As for `read_between`.
  """
  read = read_between(jaxpr, output, cut)
  shapes = [var.aval.shape for var in itertools.compress(jaxpr.invars, read)]
  return any(sum(length > 1 for length in shape) > 1 for shape in shapes)


def _live(jaxpr: Any, live: set[int], cut: Any = None) -> tuple[set[int], int]:
  """The variables that live ones depend on, and the operations on the way to them.

  A call is walked as if its body stood in its place; loops count as a whole. What the
  cut is computed from counts only where something else depends on it.
  """
  flops = 0
  for equation in reversed(jaxpr.eqns):
    if not any(id(var) in live for var in equation.outvars):
      continue
    read, inner = equation.invars, _called(equation)
    if inner is None:
      flops += _equation_flops(equation)
    else:
      # A body may be called twice, so what is live in it is known of one call only.
      pairs = list(zip(equation.outvars, inner.outvars, strict=True))
      own_cut = next((own for var, own in pairs if var is cut), None)
      wanted = {id(own) for var, own in pairs if id(var) in live and own is not own_cut}
      known, spent = _live(inner, wanted, own_cut)
      flops += spent
      given = zip(equation.invars, inner.invars, strict=True)
      read = [var for var, own in given if id(own) in known]
    live |= {id(v) for v in read if not isinstance(v, core.Literal) and v is not cut}
  return live, flops


def _called(equation: Any) -> Any:
  """The jaxpr that an equation calls once, as those of jit and remat do; else None."""
  bodies = list(_sub_jaxprs(equation))
  if len(bodies) != 1 or 'length' in equation.params:  # that of a scan
    return None
  takes, gives = (
    _shapes(getattr(bodies[0], ends)) == _shapes(getattr(equation, ends))
    for ends in ('invars', 'outvars')
  )
  return bodies[0] if takes and gives else None


def _shapes(variables: Sequence[Any]) -> list[Any]:
  return [getattr(var.aval, 'shape', None) for var in variables]


def _equation_flops(equation: Any) -> int:
  name = equation.primitive.name
  if not equation.outvars:  # such as a print
    return 0
  out = equation.outvars[0].aval
  if name == 'dot_general':
    (contracted, _), _ = equation.params['dimension_numbers']
    left = equation.invars[0].aval.shape
    return 2 * math.prod(out.shape) * math.prod(left[d] for d in contracted)
  if name == 'conv_general_dilated':
    kernel = equation.invars[1].aval.shape
    features = equation.params['dimension_numbers'].rhs_spec[0]
    return 2 * math.prod(out.shape) * math.prod(kernel) // kernel[features]
  inner = sum(_equation_flops(e) for jaxpr in _sub_jaxprs(equation) for e in jaxpr.eqns)
  return inner * equation.params.get('length', 1)


def _sub_jaxprs(equation: Any) -> Iterator[Any]:
  for value in equation.params.values():
    if isinstance(value, core.ClosedJaxpr):
      yield value.jaxpr
    elif isinstance(value, core.Jaxpr):
      yield value
