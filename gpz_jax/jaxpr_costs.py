"""Which parameters and how much arithmetic each output of a function really uses.

The jaxpr is walked backwards from each output, so that the counts are exact for any
module and need no run. (The cost analysis of a compiled program is no substitute: it
counts the body of a loop once.)
"""

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
  closed = jax.make_jaxpr(function)(variables, *args)
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  # The inputs begin with the leaves of variables; those of args follow.
  params = {
    id(var): math.prod(leaf.shape)
    for (path, leaf), var in zip(leaves, closed.jaxpr.invars, strict=False)
    if path[0].key == 'params'
  }
  costs = []
  for output in closed.jaxpr.outvars:
    live, equations = _live(closed.jaxpr, {id(output)})
    used = sum(size for var, size in params.items() if var in live)
    costs.append((used, sum(map(_equation_flops, equations))))
  return costs


def read_between(jaxpr: Any, output: Any, cut: Any) -> list[bool]:
  """Which inputs of a jaxpr an output depends on by other ways than through a value.

  Args:
    jaxpr: The jaxpr; calls in it count as a whole.
    output: One of its outputs.
    cut: The value, which is another of its outputs.

  Returns:
    For each input whether the output would still depend on it if the value were given.
  """
  if isinstance(output, core.Literal) or output is cut:
    return [False] * len(jaxpr.invars)
  live = {id(output)}
  for equation in reversed(jaxpr.eqns):
    outputs = {id(var) for var in equation.outvars}
    if id(cut) not in outputs and outputs & live:
      live |= {id(v) for v in equation.invars if not isinstance(v, core.Literal)}
  return [id(var) in live for var in jaxpr.invars]


def _live(jaxpr: Any, live: set[int]) -> tuple[set[int], list[Any]]:
  """The variables and equations that live outputs depend on; calls count as a whole."""
  equations = []
  for equation in reversed(jaxpr.eqns):
    if any(id(var) in live for var in equation.outvars):
      equations.append(equation)
      live |= {id(v) for v in equation.invars if not isinstance(v, core.Literal)}
  return live, equations


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
