"""A shape that does not fit names the argument, in every public function of numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.theory import entropy, gradient_quantities, separation, spectrum, summaries
from gpz_jax.theory.brackets import Brackets, Examined
from gpz_jax.theory.examples import check
from gpz_jax.theory.gradient_quantities import SigmaSample
from gpz_jax.theory.information import critics, pairs
from gpz_jax.theory.information.gaussian import covariance_information
from gpz_jax.theory.jacobian import SigmaMin
from gpz_jax.theory.scatter import gather

FLAT = np.arange(12.0).reshape(4, 3)
DATA = check(FLAT, np.array([0, 0, 1, 1]))
EXAMINED = Examined(
  Brackets(*[np.zeros((2, 2))] * 10), np.zeros(2), np.zeros((2, 2), int), np.zeros(())
)
SIGMA = SigmaSample(np.arange(2), SigmaMin(np.ones(2), np.ones(2)), 'made up')


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda: spectrum.gram(FLAT[0]), r'flat \[N, D\]'),
    (lambda: spectrum.gram(FLAT, scale=np.ones(4)), r'scale \[D\]'),
    (
      lambda: separation.measure_spreads(DATA, gather(DATA), [np.ones(1)]),
      r'each of scales \[D\]',
    ),
    (lambda: entropy.label_entropy(np.ones((2, 2))), r'counts \[K\]'),
    (lambda: covariance_information(np.ones((3, 2)), 1), r'covariance \[dx \+ dz'),
    (lambda: pairs.add_noise(FLAT[0], 1.0, 0), r'z \[N, m\]'),
    (lambda: pairs.gram(FLAT[None]), r'values \[N, d\]'),
    (lambda: critics.log_mean_exp_apart(jnp.ones((2, 3))), r'scores \[B, B\]'),
    (lambda: summaries.example_values(EXAMINED, np.ones((2, 1))), r'masks \[S, B\]'),
    (lambda: summaries.radius_terms(EXAMINED, np.ones(2), 1.0), r'masks \[S, B\]'),
    (lambda: summaries.class_average(np.ones(3), np.ones(1)), r'label \[n\]'),
    (lambda: summaries.radius_share(np.ones(3), np.ones(1), 1.0), r'label \[n\]'),
    (
      lambda: gradient_quantities.describe(
        EXAMINED, np.ones(4), SIGMA, c_a=1.0, gamma=1.0, assumes=''
      ),
      r'masks \[S, B\]',
    ),
  ],
)
def test_the_argument_that_does_not_fit_is_named(call, message):
  with pytest.raises(AssertionError, match=message):
    call()
