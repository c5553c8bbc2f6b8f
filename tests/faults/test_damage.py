"""Every file of every kind of checkpoint, flipped, truncated and deleted in turn."""

import collections
import pathlib
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from damage import flip_bit, truncate

from gpz_jax import checkpoints
from gpz_jax.attacks.activation.inversion import Decoders
from gpz_jax.means import Mean
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.targets import Targets
from gpz_jax.training.engine import Engine
from gpz_jax.training.snapshots import Snapshot
from gpz_jax.training.state import Best, FitState, TrainState, create_plateau

# Orbax reads arrays side by side; where several fail, all but the first find their
# event loop closed, and say so on their way out.
pytestmark = pytest.mark.filterwarnings(
  'ignore::pytest.PytestUnraisableExceptionWarning'
)


def params(seed):
  """Two lanes: a leaf that fills a file of its own, and small ones."""
  draw = np.random.default_rng(seed).normal
  return {
    'conv': {'kernel': jnp.asarray(draw(size=(2, 40, 40)), jnp.float32)},
    'bias': jnp.asarray(draw(size=(2, 5)), jnp.float32),
  }


def best(seed):
  return Best(jnp.full(2, 0.5), jnp.arange(2), params(seed), {})


def save_targets(folder):
  targets = Targets(best(1), jnp.array([True, False]))
  checkpoints.save(folder, targets, {'lanes': ['a', 'b']})
  return {0: targets}


def save_decoders(folder):
  decoders = Decoders(best(2), jnp.array([True, True]), jnp.array([7, 3]))
  checkpoints.save(folder, decoders, {'lanes': ['a-x', 'b-x'], 'attack': 'inversion'})
  return {0: decoders}


def save_snapshots(folder):
  """Of a running training, two of them."""
  saved = {}
  engine = Engine('map').resolve()
  snapshots = SnapshotStore(folder, {}, engine, 0.0, say=lambda text: None)
  for count in (1, 2):
    moments = jax.tree.map(jnp.square, params(count))
    train = TrainState(
      jnp.full(2, count), params(count), {}, moments, jnp.ones(2, bool)
    )
    plateau = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), create_plateau())
    states = FitState(train, plateau, best(count))
    loss = Mean(jnp.ones(2), jnp.full(2, count))
    snapshots.save(Snapshot(states, loss, 0, count, {}))
    saved[count] = (states, loss)
  return saved


def delete(rng, data):
  return None


def damages(folder: pathlib.Path, rng):
  """Yields every (file, kind of damage) with the file damaged, and mends it after."""
  for path in sorted(path for path in folder.rglob('*') if path.is_file()):
    data = path.read_bytes()
    for kind in (flip_bit, truncate, delete):
      if not data and kind is not delete:
        continue
      found = kind(rng, data)
      if found is None:
        path.unlink()
      else:
        path.write_bytes(found)
      yield path.relative_to(folder), kind.__name__
      path.write_bytes(data)


@pytest.mark.parametrize(
  'save',
  [save_targets, save_decoders, pytest.param(save_snapshots, marks=pytest.mark.ci)],
)
def test_damage_is_noticed_or_does_no_harm(save, tmp_path):
  saved = save(tmp_path / 'saved')
  last = max(saved)
  like = jax.eval_shape(lambda: saved[last])
  counts = collections.Counter()
  for path, kind in damages(tmp_path / 'saved', random.Random(0)):
    said = []
    found = checkpoints.restore(tmp_path / 'saved', like, say=said.append)
    if found is None:
      counts['lost, and said so'] += 1
      assert len(saved) == 1
    else:
      step = next(
        (step for step, tree in saved.items() if equal(found[0], tree)), 'none'
      )
      assert step in saved, f'{path} {kind}: wrong values'
      counts['the step before, and said so' if step != last else 'harmless'] += 1
      assert (step != last) == bool(said), (path, kind, said)
    for line in said:
      assert line.startswith(f'checkpoint saved, step {last} is damaged: ')
      assert '\n' not in line
    harmed = checkpoints.find_damage(tmp_path / 'saved')
    assert bool(harmed) >= bool(said), (path, kind)
  print(f'{save.__name__}: {dict(counts)}')
  assert counts['harmless'] > 0
  assert len(counts) == 2
  assert checkpoints.find_damage(tmp_path / 'saved') == []


def equal(found, expected) -> bool:
  return checkpoints.checksums(found) == checkpoints.checksums(expected)


def test_a_flip_that_orbax_does_not_notice_names_its_leaf(tmp_path):
  """In what does not compress, a flipped bit is a wrong number and nothing else."""
  tree = {'params': params(0), 'bits': jnp.arange(5000, dtype=jnp.int32) % 7}
  checkpoints.save(tmp_path / 'saved', tree, {})
  like = jax.eval_shape(lambda: tree)
  largest = max((tmp_path / 'saved').rglob('d/*'), key=lambda path: path.stat().st_size)
  data, rng, lines = largest.read_bytes(), random.Random(0), []
  for _ in range(15):
    largest.write_bytes(flip_bit(rng, data))
    found = checkpoints.restore(tmp_path / 'saved', like, say=lines.append)
    assert found is None or equal(found[0], tree)
  wrong = [line for line in lines if 'checksum' in line]
  assert len(wrong) > 5
  assert set(wrong) <= {
    f'checkpoint saved, step 0 is damaged: checksum of {leaf} differs'
    for leaf in ('params/conv/kernel', 'params/bias', 'bits')
  }


def test_a_step_that_vanished_or_is_half_there(tmp_path):
  saved = save_snapshots(tmp_path / 'saved')
  like = jax.eval_shape(lambda: saved[2])
  shutil.rmtree(tmp_path / 'saved' / '2' / 'state')
  said = []
  found = checkpoints.restore(tmp_path / 'saved', like, say=said.append)
  assert equal(found[0], saved[1])
  assert len(said) == 1
  shutil.rmtree(tmp_path / 'saved' / '2')
  assert equal(checkpoints.restore(tmp_path / 'saved', like)[0], saved[1])
  shutil.rmtree(tmp_path / 'saved' / '1')
  assert checkpoints.restore(tmp_path / 'saved', like) is None
  assert checkpoints.find_damage(tmp_path / 'saved') == [
    'checkpoint saved has no intact step'
  ]
