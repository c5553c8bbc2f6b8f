import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.theory import examples
from gpz_jax.types import InputError


def test_flattens_and_renumbers_the_classes():
  data = examples.check(np.arange(24.0).reshape(3, 2, 4), np.array([7, 2, 7]))
  assert data.flat.shape == (3, 8)
  assert data.channels == 4
  np.testing.assert_array_equal(data.classes, [2, 7])
  np.testing.assert_array_equal(data.label, [1, 0, 1])
  np.testing.assert_array_equal(data.counts, [1, 2])


@pytest.mark.parametrize('dtype', [np.float16, np.int8, bool, jnp.bfloat16])
def test_any_real_type(dtype):
  data = examples.check(jnp.ones((2, 3), dtype), jnp.array([0, 1]))
  np.testing.assert_array_equal(data.flat.astype(float), np.ones((2, 3)))


def test_a_memory_map_is_not_read_into_memory(tmp_path):
  stored = np.memmap(tmp_path / 'z', np.float32, 'w+', shape=(4, 2, 3))
  data = examples.check(stored, np.zeros(4, int))
  assert np.shares_memory(data.flat, stored)


def test_blocks_cover_every_line_once(monkeypatch):
  monkeypatch.setattr(examples, 'BLOCK', 10)
  lines = [i for part in examples.blocks(7, 4) for i in range(7)[part]]
  assert lines == list(range(7))
  assert len(list(examples.blocks(7, 4))) == 4  # two lines of 4 fit 10 elements
  assert len(list(examples.blocks(3, 99))) == 3  # at least one line


@pytest.mark.parametrize(
  ('activations', 'labels', 'words'),
  [
    (np.zeros(3), np.zeros(3, int), 'must be'),
    (np.zeros((0, 3)), np.zeros(0, int), 'not empty'),
    (np.zeros((3, 0)), np.zeros(3, int), 'not empty'),
    (np.zeros((3, 2)), np.zeros(2, int), '3 labels'),
    (np.zeros((3, 2)), np.zeros((3, 1), int), '3 labels'),
    (np.zeros((3, 2)), np.zeros(3), 'integers'),
    (np.zeros((3, 2), complex), np.zeros(3, int), 'real'),
    (np.array([['a']]), np.zeros(1, int), 'real'),
  ],
)
def test_bad_input_is_one_line(activations, labels, words):
  with pytest.raises(InputError, match=words) as error:
    examples.check(activations, labels)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf, 1e61])
def test_names_the_example_that_is_not_finite(bad, monkeypatch):
  monkeypatch.setattr(examples, 'BLOCK', 4)
  z = np.ones((5, 2))
  z[3, 1] = bad
  with pytest.raises(InputError, match='example 3 is not finite'):
    examples.check(z, np.zeros(5, int))
