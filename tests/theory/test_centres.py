"""Class centres on the device: by hand, batched, and with shapes that do not fit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.theory import brackets, centres

# Two examples of class 0, one of class 2, and a padded one that must not count.
VALUES = jnp.array([[1.0, 0.0], [3.0, 4.0], [5.0, 5.0], [9.0, 9.0]])
LABEL = jnp.array([0, 0, 2, 0])
MASK = jnp.array([1.0, 1.0, 1.0, 0.0])


@chex.variants(with_jit=True, without_jit=True)
class TestCentres(chex.TestCase):
  """The same numbers with and without jit."""

  def test_means_leave_out_padded_examples(self):
    @self.variant
    def means(values):
      sums = centres.class_sums(values, LABEL, MASK, 3)
      return centres.class_means(sums, LABEL, MASK)

    # by hand; class 1 has no example
    expected = jnp.array([[2.0, 2.0], [0.0, 0.0], [5.0, 5.0]])
    chex.assert_trees_all_close(means(VALUES), expected)

  def test_between_classes_by_hand(self):
    # mu = (3, 3); |mu_0 - mu|^2 = 2 twice, |mu_2 - mu|^2 = 8
    centre = jnp.array([[2.0, 2.0], [0.0, 0.0], [5.0, 5.0]])
    found = self.variant(centres.between_classes)(centre, LABEL, MASK)
    chex.assert_trees_all_close(found, jnp.array(12.0))


def test_lanes_can_be_vmapped():
  both = jnp.stack([VALUES, 2 * VALUES])
  found = jax.vmap(lambda v: centres.class_sums(v, LABEL, MASK, 3))(both)
  alone = centres.class_sums(VALUES, LABEL, MASK, 3)
  chex.assert_trees_all_close(found, jnp.stack([alone, 2 * alone]))


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda: centres.class_sums(VALUES, LABEL[:3], MASK, 3), r'label \[B\]'),
    (lambda: centres.class_sums(VALUES, LABEL, MASK[:3], 3), r'mask \[B\]'),
    (lambda: centres.class_means(VALUES, LABEL, MASK[:3]), 'masks'),
    (lambda: centres.between_classes(VALUES, LABEL, MASK[:3]), 'masks'),
    (lambda: centres.dot(VALUES, VALUES[:1]), 'y, of the shape of x'),
  ],
)
def test_shapes_that_do_not_fit_are_named(call, message):
  with pytest.raises(AssertionError, match=message):
    call()


@pytest.mark.parametrize('name', ['labels', 'masks'])
def test_examine_names_the_argument_that_does_not_fit(name):
  arguments = {'labels': np.zeros((1, 4), np.int32), 'masks': np.ones((1, 4))}
  arguments[name] = arguments[name][:, :3]
  with pytest.raises(AssertionError, match=rf'{name} \[S, B\]'):
    brackets.examine(
      lambda z: z, VALUES[None], **arguments, alpha=0.0, gamma=1.0, num_classes=2
    )
