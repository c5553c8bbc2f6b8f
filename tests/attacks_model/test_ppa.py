"""PPA on a linear generator, against plain loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_model_attack import CLASSES, IMAGE, make_scenario

from gpz_jax.attacks.model import (
  adam,
  candidates,
  chunks,
  initial,
  losses,
  parse,
  views,
)
from gpz_jax.attacks.model.ppa import Ppa
from gpz_jax.attacks.model.sight import Sight
from gpz_jax.attacks.model.store import FileStore
from gpz_jax.types import InputError

TINY = Ppa(
  latents=20, candidates=4, final=2, steps=6, draws=5, learning_rate=0.05, decay=('4',)
)


def same(images):
  return images


@pytest.fixture(scope='module')
def attacked():
  """A scenario and what the attack found, with the norms of two splits."""
  scenario = make_scenario()
  return scenario, dataclasses.replace(TINY, norms=('hidden',)).run(scenario)


def probabilities(scenario, row, images):
  """The target's probabilities, in numpy."""
  params = jax.device_get(
    jax.tree.map(lambda leaf: leaf[row], scenario.targets['params'])
  )
  x = np.asarray(images).reshape(len(images), -1)
  x = np.tanh(x @ params['hidden']['kernel'] + params['hidden']['bias'])
  x = np.exp(x @ params['logits']['kernel'] + params['logits']['bias'])
  return x / x.sum(-1, keepdims=True)


def test_the_initial_selection_is_that_of_a_numpy_loop():
  scenario = make_scenario()
  sight = Sight.of(scenario.model, scenario.engine.resolve(), IMAGE)
  found = initial.select(scenario, sight, same, name='initial', count=70, per_class=5)
  assert found.shape == (2, 3, 5, 5)
  latents = np.asarray(initial.draw(scenario, 70))
  images = 0.5 + (latents @ np.asarray(scenario.prior['basis'])).reshape(-1, *IMAGE)
  for row in range(2):
    for column, label in enumerate(scenario.classes):
      score = [
        probabilities(scenario, row, both[None])[0, label]
        + probabilities(scenario, row, both[None, :, ::-1])[0, label]
        for both in images
      ]
      best = np.argsort(score)[::-1][:5]
      np.testing.assert_array_equal(found[row, column], latents[best])


@pytest.mark.ci
def test_the_optimisation_is_that_of_a_plain_loop(attacked):
  scenario, outcome = attacked
  row, column = 1, 2
  label = int(scenario.classes[column])
  sight = Sight.of(scenario.model, scenario.engine.resolve(), IMAGE)
  x = initial.select(scenario, sight, same, name='-', count=20, per_class=4)
  x = jnp.asarray(x[row, column])
  target = jax.tree.map(lambda leaf: leaf[row], scenario.targets)
  base = jax.random.fold_in(
    chunks.item_key(scenario.lanes[row], label, scenario.seed), 0
  )
  m, v = jnp.zeros_like(x), jnp.zeros_like(x)
  for i in range(6):
    see_key, _ = jax.random.split(jax.random.fold_in(base, i))
    keys = jnp.stack([jax.random.fold_in(see_key, j) for j in range(4)])

    def loss(x, keys=keys):
      images = scenario.generator.images(scenario.prior, x)
      seen = views.random_resized_crop(keys, images, (0.9, 1.0), antialias=False)
      logits = scenario.model.apply(target, seen)
      return losses.poincare(logits, jnp.full(4, label)).sum()

    value, g = jax.value_and_grad(loss)(x)
    history = {name: array[row, column, i] for name, array in outcome.history.items()}
    np.testing.assert_allclose(history['loss'], value / 4, rtol=1e-4)
    np.testing.assert_allclose(history['gradient_mean'], jnp.abs(g).mean(), rtol=1e-3)
    np.testing.assert_allclose(history['gradient_std'], jnp.abs(g).std(), rtol=1e-3)
    # Adam as Kingma and Ba write it, with both betas 0.1
    m, v = 0.1 * m + 0.9 * g, 0.1 * v + 0.9 * g**2
    scale = 1 - 0.1 ** (i + 1)
    rate = 0.05 * (0.1 if i >= 4 else 1)
    x = x - rate * (m / scale) / (jnp.sqrt(v / scale) + 1e-8)
  found = outcome.latents[row, column]
  order = np.lexsort(np.asarray(x).T)
  np.testing.assert_allclose(
    found[np.lexsort(found.T)], np.asarray(x)[order], rtol=1e-3, atol=1e-4
  )


def test_outcomes_are_sorted_and_of_the_protocol(attacked):
  scenario, outcome = attacked
  assert outcome.images.shape == (2, 3, 4, *IMAGE)
  assert outcome.images.dtype == np.uint8
  assert (np.diff(outcome.scores, axis=-1) <= 0).all()
  assert outcome.num_final == 2
  images = scenario.generator.images(scenario.prior, outcome.latents[1, 0])
  np.testing.assert_array_equal(outcome.images[1, 0], views.to_uint8(images))
  names = {'loss', 'confidence', 'gradient_mean', 'gradient_std', 'grad_norm/hidden'}
  assert outcome.history.keys() == names
  assert all(array.shape == (2, 3, 6) for array in outcome.history.values())
  assert (outcome.history['grad_norm/hidden'] > 0).all()


def test_it_raises_the_confidence():
  scenario = make_scenario()
  attack = dataclasses.replace(TINY, steps=40, decay=('none',))
  history = attack.run(scenario).history
  assert history is not None
  gain = history['confidence'][..., -1] - history['confidence'][..., 0]
  # The loss is no confidence, and each step sees another crop: the mean must rise.
  assert gain.mean() > 0.03


def test_scores_are_the_mean_confidence_of_strong_views(attacked):
  scenario, outcome = attacked
  row, column = 0, 1
  label = int(scenario.classes[column])
  latents = outcome.latents[row, column]
  images = scenario.generator.images(scenario.prior, jnp.asarray(latents))
  keys = views.sample_keys(jax.random.key(5), 400)
  for i in range(4):  # other draws than the attack's: equal but for their noise
    seen = views.random_resized_crop(
      keys, jnp.repeat(images[i : i + 1], 400, axis=0), (0.5, 0.9), (0.8, 1.2)
    )
    seen = np.concatenate([seen, seen[:, :, ::-1]])
    expected = probabilities(scenario, row, seen)[:, label]
    noise = 4 * expected.std() / np.sqrt(TINY.draws)
    assert abs(outcome.scores[row, column, i] - expected.mean()) < noise


def test_classes_and_targets_do_not_depend_on_what_is_beside_them(attacked):
  scenario, outcome = attacked
  alone = dataclasses.replace(
    scenario,
    classes=scenario.classes[1:2],
    lanes=scenario.lanes[1:],
    targets=jax.tree.map(lambda leaf: leaf[1:], scenario.targets),
  )
  found = dataclasses.replace(TINY, norms=('hidden',)).run(alone)
  for name in ('images', 'scores', 'latents'):
    np.testing.assert_array_equal(
      getattr(found, name)[0, 0], getattr(outcome, name)[1, 1]
    )


def test_it_resumes_bit_for_bit(tmp_path, attacked):
  scenario, _ = attacked
  scenario = dataclasses.replace(scenario, store=FileStore(tmp_path))
  expected = TINY.run(scenario)
  files = sorted(tmp_path.iterdir())
  assert len(files) == 1 + 6
  for file in files[1::2]:
    file.unlink()
  found = TINY.run(scenario)
  for name in ('images', 'scores', 'latents'):
    np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.ci
def test_another_choice_of_classes_starts_from_its_own_latents(tmp_path):
  store = FileStore(tmp_path)
  TINY.run(make_scenario(store=store, classes=(0, 1)))
  found = TINY.run(make_scenario(store=store, classes=(3, 1)))
  expected = TINY.run(make_scenario(classes=(3, 1)))
  np.testing.assert_array_equal(found.latents, expected.latents)


def test_many_candidates_are_searched_in_groups(tmp_path):
  store = FileStore(tmp_path)
  attack = dataclasses.replace(TINY, candidates=11, latents=30, steps=2, draws=1)
  outcome = attack.run(make_scenario(store=store))
  # 11 candidates are groups of 6 and 5: a file for each, and the first selection.
  assert len(list(tmp_path.iterdir())) == 1 + 2 * 3 * 2
  assert outcome.scores.shape == (2, 3, 11)
  assert (np.diff(outcome.scores, axis=-1) <= 0).all()
  assert len(np.unique(outcome.latents[0, 0], axis=0)) == 11
  assert outcome.history['loss'].shape == (2, 3, 2)


def test_groups_are_divided_and_joined_by_hand():
  latents = np.arange(11.0).reshape(1, 1, 11, 1)
  divided = candidates.divide(latents)
  assert divided.shape == (1, 1, 2, 6, 1)
  np.testing.assert_array_equal(divided.ravel(), [*range(11), 10])
  found = {
    'images': np.zeros((1, 1, 2, 6, 2, 2, 1), np.uint8),
    'scores': divided[..., 0] % 7,
    'latents': divided,
    'history/gradient_mean': np.array([[[[1.0], [3.0]]]]),
    'history/gradient_std': np.array([[[[0.0], [2.0]]]]),
  }
  joined = candidates.join(found, 11, 3, 0.0)
  # Scores are 0 1 2 3 4 5 6 0 1 2 3; equals stay in their order.
  best = [6, 5, 4, 3, 10, 2, 9, 1, 8, 0, 7]
  np.testing.assert_array_equal(joined.latents[0, 0, :, 0], best)
  assert joined.images.shape == (1, 1, 11, 2, 2, 1)
  # Entries 1 1 and 1 5: mean 2, deviation sqrt((1 + 1 + 1 + 9) / 4)
  np.testing.assert_allclose(joined.history['gradient_mean'], [[[2]]])
  np.testing.assert_allclose(joined.history['gradient_std'], [[[np.sqrt(3)]]])


def test_a_candidate_without_a_gradient_stays():
  latents = jnp.ones((2, 3))
  tx = TINY._tx
  state = adam.Optimised(latents, tx.init(latents))
  gradient = jnp.array([[1.0, jnp.nan, 0.0], [1.0, 1.0, 1.0]])
  moved = adam.move(state, gradient, jnp.float32(0.1), tx)
  np.testing.assert_array_equal(moved.latents[0], 1)
  np.testing.assert_allclose(moved.latents[1], 0.9, rtol=1e-5)
  again = adam.move(moved, jnp.ones((2, 3)), jnp.float32(0.1), tx)
  assert np.isfinite(jax.tree.leaves(again.moments)[1]).all()


def test_texts_and_presets():
  assert parse('ppa') == Ppa(text='ppa')
  found = parse('ppa:preset=small:candidates=6:steps=70:adaptive=taa:views=8')
  assert isinstance(found, Ppa)
  assert (found.candidates, found.final, found.steps, found.draws) == (6, 4, 70, 32)
  assert (found.averaging.kind, found.averaging.views) == ('taa', 8)
  assert parse('ppa:preset=ppa200').decay_steps == ()
  assert parse('ppa:decay=10|20').decay_steps == (10, 20)
  for preset in Ppa.PRESETS:
    assert isinstance(parse(f'ppa:preset={preset}'), Ppa)


@pytest.mark.parametrize(
  ('text', 'error'),
  [
    ('pppa', "did you mean 'ppa'"),
    ('ppa:preset=smal', "did you mean 'small'"),
    ('ppa:step=3', "did you mean 'steps'"),
    ('ppa:steps=0', 'steps=0 must be at least 1'),
    ('ppa:steps=x', 'give a int'),
    ('ppa:final=17', 'final=17 is more than candidates=16'),
    ('ppa:decay=ten', 'decay=ten are no steps'),
    ('ppa:adaptive=tta', "did you mean 'taa'"),
    ('ppa:views=0', 'views=0'),
    ('ppa:text=x', 'is not known'),
    ('gmi:learning_rate=-1', 'learning_rate=-1 must be at least'),
    ('gmi:clip=nan', 'clip=nan must be'),
    ('lomma_gmi:feature_weight=-1', 'feature_weight=-1'),
    ('kedmi:identity_weight=-100', 'identity_weight=-100'),
    ('lomma_kedmi:steps=0', 'steps=0 must be at least 1'),
    ('plg:per_class=0', 'per_class=0'),
    ('brep:growth=0.5', 'growth=0.5 must be at least 1'),
    ('brep:draws=4', 'draws=4 is fewer than candidates=5'),
  ],
)
def test_bad_texts_are_refused(text, error):
  with pytest.raises(InputError, match=error):
    parse(text)


def test_bad_scenarios_are_refused():
  scenario = make_scenario()
  with pytest.raises(InputError, match='1 channels'):
    TINY.run(dataclasses.replace(scenario, image_shape=(6, 6, 3)))
  with pytest.raises(InputError, match="split 'hiden'"):
    dataclasses.replace(TINY, norms=('hiden',)).check(scenario)
  assert CLASSES == 4
