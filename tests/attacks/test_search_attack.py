"""A search as an attack: whose edge it goes through, and what is said of it."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny
from made_up_scenario import IMAGE, MAP, TEST, Target, made_up, make_scenario

from gpz_jax.attacks.activation import optimisation
from gpz_jax.attacks.activation.interception import Intercepted
from gpz_jax.attacks.activation.search_attack import SearchAttack


def test_a_search_goes_through_the_edge_of_its_own_target():
  model = Target()
  image = jnp.zeros((1, *IMAGE))
  targets = tiny.random_variables(model, image, lanes=(2,))
  sent = jnp.abs(made_up(3, 2, TEST, 16, 16, 4))
  scenario = make_scenario(
    targets=targets, intercepted=Intercepted(sent[:, :0], sent, 'device')
  )
  attack = SearchAttack(images=3, steps=2)
  outcome = attack.run(scenario)
  assert (outcome.n_test, outcome.n_train, outcome.steps) == (3, 0, 2)
  assert outcome.is_finite.tolist() == [True, True]
  assert SearchAttack(images=9, steps=2).run(scenario).n_test == TEST
  edges = jax.tree.map(lambda leaf: leaf[::-1], targets)  # as the lanes name them
  expected = optimisation.reconstruct(
    model, edges, scenario.lanes, sent[:, :3], IMAGE, attack.search, engine=MAP
  )
  rows = np.array([2, 0])
  np.testing.assert_array_equal(
    outcome.on_test(rows), expected.reconstructions[:, rows]
  )


def test_a_search_that_is_not_finite_is_marked():
  targets = tiny.random_variables(Target(), jnp.zeros((1, *IMAGE)), lanes=(2,))
  sent = jnp.ones((2, TEST, 16, 16, 4)).at[1, 2, 0, 0, 0].set(jnp.nan)
  intercepted = Intercepted(sent[:, :0], sent, 'device')
  scenario = make_scenario(targets=targets, intercepted=intercepted)
  outcome = SearchAttack(images=3, steps=2).run(scenario)
  assert outcome.is_finite.tolist() == [True, False]
