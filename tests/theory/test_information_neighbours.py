"""KSG where the truth is known."""

import kinds
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import digamma

from gpz_jax.theory.information import neighbours as information_neighbours
from gpz_jax.theory.information.gaussian import LinearGaussian
from gpz_jax.theory.information.neighbours import ksg
from gpz_jax.types import InputError


def pairs(dimension, nats, examples, seed=0):
  rng = np.random.default_rng(seed)
  known = LinearGaussian.of_information(dimension, nats, rng)
  x, _, z = known.sample(examples, rng)
  return x, z


def mean(dimension, nats, examples, seeds, **how):
  drawn = [pairs(dimension, nats, examples, seed) for seed in range(seeds)]
  return np.mean([ksg(*pair, **how).value for pair in drawn])


SIZES = [
  *((1, 1000), (2, 2000), (4, 4000)),
  pytest.param(8, 4000, marks=pytest.mark.ci),
]


@pytest.mark.ci
@pytest.mark.parametrize('nats', kinds.each([1.0, 3.0], [3.0]))
@pytest.mark.parametrize(('dimension', 'examples'), SIZES)
def test_within_a_tenth_up_to_8_dimensions(dimension, examples, nats):
  assert mean(dimension, nats, examples, 3) == pytest.approx(nats, rel=0.1)


def test_uncorrected_it_is_a_third_too_low_at_8_dimensions():
  # The documented limit: should it become better, the docstring is to be changed.
  assert 0.55 * 3.0 < mean(8, 3.0, 4000, 1, corrected=False) < 0.75 * 3.0


@pytest.mark.ci
@pytest.mark.parametrize(
  ('dimension', 'nats', 'seeds', 'tolerance'),
  [(1, 0.413, 40, 0.025), (3, 1.022, 12, 0.05)],
)
def test_the_correction_adds_little_noise(dimension, nats, seeds, tolerance):
  # A bias of one draw, the same for all pairs, gave means of 0.446 and 1.126.
  assert mean(dimension, nats, 1000, seeds) == pytest.approx(nats, abs=tolerance)


def clusters(dimension, examples, rng):
  """Pairs with two clusters in every coordinate, and their information."""
  x = rng.choice([-1.0, 1.0], size=(examples, dimension))
  x = x + 0.3 * rng.normal(size=x.shape)
  z = x + 0.5 * rng.normal(size=x.shape)
  variance = 0.3**2 + 0.5**2

  def surprise(u):
    density = np.exp(-((u - np.array([-1, 1])) ** 2) / (2 * variance)).mean()
    density /= np.sqrt(2 * np.pi * variance)
    return -density * np.log(density)

  entropy, _ = quad(surprise, -8, 8)
  noise = 0.5 * np.log(2 * np.pi * np.e * 0.5**2)
  return x, z, dimension * (entropy - noise)


@pytest.mark.parametrize('dimension', [4, 8])
def test_the_correction_helps_where_pairs_are_far_from_gaussian(dimension):
  x, z, truth = clusters(dimension, 2000, np.random.default_rng(0))
  raw, corrected = (ksg(x, z, corrected=c).value for c in (False, True))
  assert raw < corrected < 1.1 * truth
  assert abs(corrected - truth) < 0.9 * abs(raw - truth)


@pytest.mark.parametrize('neighbours', [1, 3])
def test_all_pairs_count_what_a_tree_counts(neighbours):
  x, z = pairs(3, 1.0, 600)
  x[:40] = x[40:80]  # ties
  np.testing.assert_array_equal(
    information_neighbours._count_pairwise(x, z, neighbours),
    information_neighbours._count_by_tree(x, z, neighbours),
  )


def test_a_map_of_each_coordinate_changes_nothing():
  x, z = pairs(2, 1.0, 500)
  assert ksg(np.sinh(3 * x), z**3).value == pytest.approx(ksg(x, z).value)


@pytest.mark.parametrize('dimension', [1, 4, 8])
def test_shuffled_pairs_give_0(dimension):
  x, z = pairs(dimension, 3.0, 1000)
  found = ksg(x, np.random.default_rng(0).permutation(z))
  assert found.value == pytest.approx(0.0, abs=0.15)
  assert found.low < 0.05


@pytest.mark.parametrize('neighbours', [1, 3])
def test_the_ceiling_is_met_by_identical_pairs(neighbours):
  x = np.random.default_rng(0).normal(size=(50, 1))
  found = ksg(x, x, neighbours=neighbours)
  # A coordinate always has the k - 1 nearer neighbours, and here no others: each
  # digamma is that of k, and psi(k) + psi(50) - 2 psi(k) is left.
  assert found.value == pytest.approx(digamma(50) - digamma(neighbours))
  assert f'{found.value:.2f}' in found.assumes


def test_examples_that_are_all_the_same_do_not_break_it():
  found = ksg(np.ones((20, 2)), np.ones((20, 2)))
  assert np.isfinite(found.value)


@pytest.mark.parametrize(
  ('x', 'z', 'neighbours'),
  [
    (np.ones((5, 2)), np.ones((4, 2)), 1),
    (np.ones(5), np.ones(5), 1),
    (np.ones((5, 2)), np.ones((5, 2)), 5),
    (np.ones((5, 2)), np.full((5, 2), np.inf), 1),
  ],
)
def test_bad_shapes_are_refused(x, z, neighbours):
  with pytest.raises(InputError):
    ksg(x, z, neighbours=neighbours)
