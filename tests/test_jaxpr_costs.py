"""Counting on functions small enough to count by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from gpz_jax import jaxpr_costs

VARIABLES = {
  'params': {'a': jnp.ones((4, 5)), 'b': jnp.ones((5, 6)), 'unused': jnp.ones(7)},
  'batch_stats': {'mean': jnp.ones(5)},
}


def test_each_output_is_charged_what_it_depends_on():
  def function(variables, x):
    hidden = x @ variables['params']['a'] + variables['batch_stats']['mean'][None]
    return [hidden, jnp.tanh(hidden) @ variables['params']['b']]

  found = jaxpr_costs.used_params_and_flops(function, VARIABLES, jnp.ones((2, 4)))
  first = 2 * (2 * 4 * 5)
  assert found == [(20, first), (20 + 30, first + 2 * (2 * 5 * 6))]


def test_a_loop_counts_every_iteration_and_a_jitted_call_its_body():
  def function(variables, x):
    square = variables['params']['a'] @ variables['params']['a'].T  # [4, 4]

    def body(carry, _):
      return jax.jit(jnp.matmul)(carry, square), None

    return [lax.scan(body, x, length=3)[0]]

  ((params, flops),) = jaxpr_costs.used_params_and_flops(
    function, VARIABLES, jnp.ones((2, 4))
  )
  assert params == 20
  assert flops == 2 * (4 * 5 * 4) + 3 * 2 * (2 * 4 * 4)


@pytest.mark.parametrize('wrap', [jax.jit, jax.checkpoint])
def test_an_output_inside_a_call_is_charged_its_own_way_only(wrap):
  def function(variables, x):
    a, b = variables['params']['a'], variables['params']['b']

    @wrap
    def both(x, a, b):
      hidden = jax.jit(jnp.matmul)(x, a)  # a call in the call
      return hidden, jnp.tanh(hidden) @ b, x

    hidden, last, same = both(x, a, b)
    other = both(hidden @ a.T, a, b)[0]  # the same jaxpr, called with other values
    return [hidden, last, same, other]

  found = jaxpr_costs.used_params_and_flops(function, VARIABLES, jnp.ones((2, 4)))
  first = 2 * (2 * 4 * 5)
  last = (20 + 30, first + 2 * (2 * 5 * 6))
  assert found == [(20, first), last, (0, 0), (20, 3 * first)]


def test_what_a_function_with_its_own_gradient_computes_is_charged():
  @jax.custom_vjp
  def product(x, y):
    return x @ y

  product.defvjp(lambda x, y: (x @ y, None), lambda _, g: (g, g))

  def function(variables, x):
    return [product(x, variables['params']['a'])]

  found = jaxpr_costs.used_params_and_flops(function, VARIABLES, jnp.ones((2, 4)))
  assert found == [(20, 2 * (2 * 4 * 5))]


@pytest.mark.parametrize('wrap', [lambda function: function, jax.jit, jax.checkpoint])
def test_what_is_read_behind_a_value_is_told_inside_a_call_too(wrap):
  @wrap
  def function(x, a, b):
    hidden = x @ a
    return hidden @ b, hidden

  jaxpr = jax.make_jaxpr(function)(jnp.ones((2, 4)), jnp.ones((4, 5)), jnp.ones((5, 6)))
  output, cut = jaxpr.jaxpr.outvars
  assert jaxpr_costs.read_between(jaxpr.jaxpr, output, cut) == [False, False, True]


def test_a_grouped_convolution_is_cheaper_by_the_number_of_groups():
  def function(variables, x):
    kernel = jnp.ones((3, 3, 2, 8))
    numbers = ('NHWC', 'HWIO', 'NHWC')
    return [
      lax.conv_general_dilated(
        x, kernel, (1, 1), 'SAME', dimension_numbers=numbers, feature_group_count=2
      )
    ]

  ((_, flops),) = jaxpr_costs.used_params_and_flops(
    function, VARIABLES, jnp.ones((1, 5, 5, 4))
  )
  assert flops == 2 * 5 * 5 * 8 * 9 * 2
