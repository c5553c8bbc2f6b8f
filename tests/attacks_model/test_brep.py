import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inversion_toys import check_attack, make_scenario

from gpz_jax.attacks.model import brep

SHORT = brep.BREP(
  text='brep', candidates=2, steps=40, draws=200, radius=0.5, patience=15, points=16
)


def test_repulsion_by_hand():
  ways = jnp.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
  found = brep.repulsion(ways, jnp.array([False, False, True, True]))
  np.testing.assert_allclose(found, [0.25, 0.25])


def walk(is_class, start, steps=60, **options):
  """The walk of one candidate in a plane."""
  attack = brep.BREP(clip=9.0, **options)
  start = jnp.asarray(start)
  radius = jnp.asarray(attack.radius)
  walker = brep.Walker(start, radius, jnp.zeros(()), start, jnp.zeros(()))
  step = jax.jit(lambda walker, key: attack._step(walker, key, is_class))
  for key in jax.random.split(jax.random.key(0), steps):
    walker = step(walker, key)
  return walker


def test_a_walk_leaves_the_border_of_a_half_plane():
  walker = walk(lambda x: x[:, 0] > 0, [0.1, 0.0], radius=0.5)
  assert walker.latent[0] > 1
  # It was kept at a sphere that lies in the class, but for few points.
  assert walker.kept[0] > 0.75 * walker.score
  assert walker.score >= 0.5


def test_a_walk_finds_the_middle_of_a_disc():
  walker = walk(lambda x: jnp.sum(x**2, axis=-1) < 4, [1.8, 0.0], 120, radius=0.5)
  assert np.linalg.norm(walker.kept) < 0.8
  # The largest sphere in the disc has a radius of 2; an eighth of the points may miss.
  assert 0.9 < walker.score < 2.3


def test_a_start_outside_stays_where_it_is():
  attack = brep.BREP()
  start, nothing = jnp.array([1.0, 2.0]), jnp.zeros(())
  walker = brep.Walker(start, nothing, nothing, start, nothing)
  found = attack._step(walker, jax.random.key(0), lambda x: jnp.ones(len(x), bool))
  np.testing.assert_array_equal(found.latent, start)
  assert found.score == 0


@pytest.mark.ci
def test_spheres_grow_and_nothing_depends_on_chunks_or_deaths(tmp_path):
  found = check_attack(SHORT, tmp_path)
  assert found.history.keys() == {'radius', 'score'}
  grown = found.history['radius'][..., -1]
  assert (grown >= found.history['radius'][..., 0]).all()
  assert (found.scores[..., 0] > 0).any()
  labels = np.array([0, 1, 3])
  scenario = make_scenario()
  for row in range(2):
    target = jax.tree.map(lambda leaf, row=row: leaf[row], scenario.targets)
    images = scenario.generator.images(scenario.prior, found.latents[row, :, 0])
    logits = scenario.model.apply(target, jnp.clip(images, 0, 1))
    is_found = found.scores[row, :, 0] > 0
    np.testing.assert_array_equal(logits.argmax(-1)[is_found], labels[is_found])
