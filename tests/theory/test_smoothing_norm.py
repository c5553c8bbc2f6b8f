"""The published norm of what smoothing takes off a label, App. D."""

import numpy as np
import pytest

from gpz_jax.theory import gradients


@pytest.mark.parametrize(
  ('convention', 'squared'), [('table1', 0.0981), ('code', 0.1), ('standard', 0.081)]
)
def test_smoothing_norm_is_the_published_one(convention, squared):
  # docs/paper.md#class-radius for table1 and code; a^2 (1 - 1 / K) for standard
  found = gradients.smoothing_norm(0.3, 10, convention)
  np.testing.assert_allclose(found**2, squared, rtol=1e-5)
