"""What was saved comes back, the last two steps of it; damage is in tests/faults."""

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import checkpoints


def tree(value):
  return {
    'a': {'b': jnp.full((2, 3), value, jnp.float32)},
    'n': jnp.full((), value, jnp.int32),
  }


def test_what_was_saved_comes_back(tmp_path):
  meta = {'lanes': ['x', 'y'], 'loss': [0.1, float('nan')]}
  checkpoints.save(tmp_path / 'c', tree(1.5), meta)
  found, plain = checkpoints.restore(tmp_path / 'c', jax.eval_shape(lambda: tree(0)))
  assert checkpoints.checksums(found) == checkpoints.checksums(tree(1.5))
  assert plain['lanes'] == ['x', 'y']
  assert plain['loss'][0] == 0.1
  assert np.isnan(plain['loss'][1])
  assert checkpoints.read_meta(tmp_path / 'c')['lanes'] == ['x', 'y']
  assert checkpoints.find_damage(tmp_path / 'c') == []


def test_two_steps_are_kept_and_those_of_a_course_given_up_are_not(tmp_path):
  for step in (1, 2, 5):
    checkpoints.save(tmp_path, tree(step), {'step': step}, step=step)
  steps = sorted(int(path.name) for path in tmp_path.iterdir() if path.is_dir())
  assert steps == [2, 5]
  checkpoints.save(tmp_path, tree(3), {'step': 3}, step=3)
  assert checkpoints.read_meta(tmp_path) == {'step': 3}


def test_where_nothing_is_there_is_nothing(tmp_path):
  like = jax.eval_shape(lambda: tree(0))
  assert checkpoints.restore(tmp_path / 'absent', like) is None
  assert checkpoints.read_meta(tmp_path / 'absent') is None
  assert not checkpoints.has_step(tmp_path / 'absent')
  assert not (tmp_path / 'absent').exists()
  assert checkpoints.find_damage(tmp_path / 'absent') == [
    'checkpoint absent has no intact step'
  ]
  checkpoints.save(tmp_path / 'c', tree(1), {})
  assert checkpoints.has_step(tmp_path / 'c')


def test_a_checksum_is_of_bytes_shape_and_dtype():
  ones = [
    np.ones(4, np.float32),
    np.ones((2, 2), np.float32),
    np.ones(4, np.int32),
    np.ones(4, jnp.bfloat16),
    -np.ones(4, np.float32),
  ]
  digests = [checkpoints.checksums(array)[''] for array in ones]
  assert len(set(digests)) == len(ones)
  assert checkpoints.checksums({'a': [ones[0]]}) == {'a/0': digests[0]}


def test_arrays_of_other_shapes_are_not_restored(tmp_path):
  checkpoints.save(tmp_path / 'c', tree(1), {})
  # Orbax looks at the shapes of arrays, and not at those of what stands for one.
  like = jax.eval_shape(lambda: tree(0) | {'n': jnp.zeros((2,), jnp.int32)})
  said = []
  assert checkpoints.restore(tmp_path / 'c', like, say=said.append) is None
  assert said == ['checkpoint c, step 0 is damaged: n has the shape (), expected (2,)']
