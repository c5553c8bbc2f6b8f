"""Chunks: one program, any order, nothing twice."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model_attack import make_scenario

from gpz_jax import interruption
from gpz_jax.attacks.model import chunks
from gpz_jax.attacks.model.chunk_programs import ChunkPrograms
from gpz_jax.attacks.model.search import Phase, Search
from gpz_jax.attacks.model.store import FileStore
from gpz_jax.training.engine import Engine

STEPS = 7


def walk_search(steps=STEPS):
  """A walk whose every step reads key, label, target, prior and step number."""

  def enter(state, item, shared):
    assert state is None
    return item.given + shared['prior']['basis'].mean()

  def step(state, item, shared, i):
    noise = jax.random.normal(jax.random.fold_in(item.key, i), state.shape)
    bias = shared['target']['params']['hidden']['kernel'].sum()
    state = 0.9 * state + noise * (1 + item.label) + bias
    return state, {'mean': state.mean()}

  def doubled(state, item, shared, i):
    del item, shared, i
    return 2 * state, {}

  return Search(
    (Phase(steps, step, enter), Phase(2, doubled)),
    lambda state, item, shared: {'x': state},
  )


def given(scenario):
  shape = len(scenario.lanes), len(scenario.classes), 3
  values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
  return values + scenario.classes[None, :, None]


def run(scenario, at_once=2, search=None, starts=None):
  starts = given(scenario) if starts is None else starts
  return chunks.run(search or walk_search(), scenario, 'walk', starts, at_once=at_once)


def assert_same(found, expected):
  assert found.keys() == expected.keys()
  for name, array in expected.items():
    np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_walk_is_that_of_a_plain_loop():
  scenario = make_scenario()
  starts = given(scenario)
  found = run(scenario, starts=starts)
  assert found['x'].shape == (2, 3, 3)
  for row, column in np.ndindex(2, 3):
    label = int(scenario.classes[column])
    key = chunks.item_key(scenario.lanes[row], label, scenario.seed)
    x = starts[row, column] + scenario.prior['basis'].mean()
    kernel = scenario.targets['params']['hidden']['kernel'][row]
    for i in range(STEPS):
      noise = jax.random.normal(jax.random.fold_in(key, i), (3,))
      x = 0.9 * x + noise * (1 + label) + kernel.sum()
      np.testing.assert_allclose(
        found['history/mean'][row, column, i], x.mean(), rtol=1e-4, atol=1e-5
      )
    np.testing.assert_allclose(found['x'][row, column], 4 * x, rtol=1e-4, atol=1e-5)


def test_a_class_does_not_depend_on_its_chunk():
  scenario = make_scenario(classes=(0, 1, 2, 3))
  starts = given(scenario)
  expected = run(scenario, 4, starts=starts)
  for size in (1, 2, 3):
    assert_same(run(scenario, size, starts=starts), expected)
  order = [2, 0, 3]
  other = dataclasses.replace(scenario, classes=scenario.classes[order])
  found = run(other, 2, starts=starts[:, order])
  assert_same(found, {name: array[:, order] for name, array in expected.items()})


def test_vmap_and_several_phases_agree_with_map():
  found = run(make_scenario(engine=Engine('vmap')))
  for name, array in run(make_scenario()).items():
    np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4)


def test_groups_of_a_class_are_searches_of_their_own():
  scenario = make_scenario()
  starts = given(scenario)
  both = np.stack([starts, starts], axis=2)
  found = chunks.run(walk_search(), scenario, 'walk', both, at_once=4, groups=2)
  alone = run(scenario, starts=starts)
  for name, array in alone.items():
    assert found[name].shape == (2, 3, 2, *array.shape[2:])
    np.testing.assert_array_equal(found[name][:, :, 0], array)
    assert not np.allclose(found[name][:, :, 1], array)


def test_one_program_serves_all_chunks(monkeypatch):
  made = []

  class Watched(ChunkPrograms):
    def __init__(self, *args):
      super().__init__(*args)
      made.append(self)

  monkeypatch.setattr(chunks, 'ChunkPrograms', Watched)
  run(make_scenario(lanes=3, classes=(0, 1, 2)), 2)
  (programs,) = made
  assert programs.traces == (1, 1)


@dataclasses.dataclass
class Dying:
  """A store whose process dies when it has saved so many pieces."""

  store: FileStore
  pieces: int

  def load(self, name):
    return self.store.load(name)

  def save(self, name, arrays):
    if not self.pieces:
      raise KeyboardInterrupt
    self.pieces -= 1
    self.store.save(name, arrays)


@pytest.mark.parametrize('pieces', [0, 1, 2, 5])
def test_what_died_goes_on_bit_for_bit(tmp_path, pieces):
  expected = run(make_scenario())
  store = FileStore(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    run(make_scenario(store=Dying(store, pieces)))
  assert len(list(tmp_path.iterdir())) == pieces
  assert_same(run(make_scenario(store=store)), expected)


def test_what_is_kept_is_not_computed_again(tmp_path):
  store = FileStore(tmp_path)
  expected = run(make_scenario(store=store))
  broken = Search((Phase(1, lambda *_: 1 / 0, lambda *_: 1 / 0),), lambda *_: {})
  assert_same(run(make_scenario(store=store), search=broken), expected)


def test_a_damaged_piece_is_said_and_computed_again(tmp_path):
  said = []
  store = FileStore(tmp_path, said.append)
  expected = run(make_scenario(store=store))
  path = sorted(tmp_path.iterdir())[2]
  content = bytearray(path.read_bytes())
  content[len(content) // 3] ^= 1
  path.write_bytes(content)
  assert_same(run(make_scenario(store=store)), expected)
  assert len(said) == 1
  assert path.name in said[0]
  run(make_scenario(store=store))
  assert len(said) == 1  # it was written anew


def test_a_chunk_that_does_not_fit_is_halved(monkeypatch, caplog):
  expected = run(make_scenario(), 3)
  plain = ChunkPrograms.run

  def small(self, items, shared, tick):
    if len(items.label) > 1:
      raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')
    return plain(self, items, shared, tick)

  monkeypatch.setattr(ChunkPrograms, 'run', small)
  assert_same(run(make_scenario(), 3), expected)
  assert 'chunks of 1 classes' in caplog.text


def test_chunks_are_halved_before_they_run_where_programs_say_so(monkeypatch):
  expected = run(make_scenario(), 3)
  sizes = []
  plain = ChunkPrograms.compile

  def compile(self, items, shared):
    sizes.append(len(items.label))
    plain(self, items, shared)

  monkeypatch.setattr(ChunkPrograms, 'compile', compile)
  monkeypatch.setattr(
    ChunkPrograms, 'peak_bytes', lambda self: 2**60 if sizes[-1] > 2 else 1
  )
  assert_same(run(make_scenario(), 3), expected)
  assert sizes == [3, 2]


def test_one_class_that_does_not_fit_is_an_error(monkeypatch):
  def large(*_):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

  monkeypatch.setattr(ChunkPrograms, 'run', large)
  with pytest.raises(jax.errors.JaxRuntimeError, match='RESOURCE_EXHAUSTED'):
    run(make_scenario())


def test_a_signal_ends_it_and_what_is_done_is_kept(tmp_path, monkeypatch):
  expected = run(make_scenario())
  calls = []

  def check():
    calls.append(None)
    if len(calls) > 12:  # in a chunk behind the first
      raise interruption.Interrupted('SIGTERM received')

  with monkeypatch.context() as patch:
    patch.setattr(interruption, 'check', check)
    with pytest.raises(interruption.Interrupted):
      run(make_scenario(store=FileStore(tmp_path)), 1)
  assert 0 < len(list(tmp_path.iterdir())) < 6
  assert_same(run(make_scenario(store=FileStore(tmp_path))), expected)


def test_progress_ends_at_all_steps():
  seen = []
  scenario = make_scenario()
  chunks.run(
    walk_search(),
    scenario,
    'walk',
    given(scenario),
    at_once=2,
    on_progress=lambda done, total, values: seen.append((done, total)),
  )
  done = [each for each, _ in seen]
  assert done == sorted(done)
  assert seen[-1] == (2 * 2 * (STEPS + 2),) * 2


def test_names_of_pieces_tell_settings_apart():
  scenario = make_scenario()
  names = {
    chunks.piece_name('ppa', settings, dataclasses.replace(scenario, seed=seed))
    for settings in ('a', 'b')
    for seed in (0, 1)
  }
  assert len(names) == 4


def test_arrays_of_a_store_come_back(tmp_path):
  store = FileStore(tmp_path / 'new')
  arrays = {'a/b': np.arange(3), 'file': np.zeros((2, 0), np.float16)}
  assert store.load('one:of/mine') is None
  store.save('one:of/mine', arrays)
  found = store.load('one:of/mine')
  assert found is not None
  assert found.keys() == arrays.keys()
  assert found['file'].dtype == np.float16
  np.testing.assert_array_equal(found['a/b'], jnp.arange(3))
