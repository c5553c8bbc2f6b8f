"""What is sent: clipped and noisy, or dropped; and what the cloud makes of it."""

import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import defences, models, partition
from gpz_jax.attacks.activation import interception, optimisation
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.defences import cuts
from gpz_jax.types import Lane, Treatment

KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)


def send(text, activation):
  return defences.parse(text).send(activation, KEY)


def test_the_norm_of_each_activation_is_clipped():
  short, long = np.full((1, 2, 2, 1), 0.1), np.full((1, 2, 2, 1), 3.0)
  sent = send('noise:sigma=0:clip=2', jnp.concatenate([short, long]))
  np.testing.assert_allclose(sent[0], short[0], rtol=1e-6)  # of norm 0.2
  np.testing.assert_allclose(sent[1], 1, rtol=1e-6)  # of norm 6, scaled to 2
  np.testing.assert_array_equal(send('noise:sigma=0', jnp.zeros((1, 3))), 0)


def test_noise_has_its_deviation_in_units_of_the_norm():
  sent = send('noise:sigma=0.1:clip=2', jnp.zeros((2, 50, 50, 4)))
  np.testing.assert_allclose(sent.std(), 0.2, rtol=0.02)
  assert (sent[0] != sent[1]).any()


def test_dropout_keeps_the_mean():
  sent = np.asarray(send('dropout:rate=0.25', jnp.ones((4, 100, 100))))
  np.testing.assert_allclose((sent == 0).mean(), 0.25, rtol=0.05)
  assert set(np.unique(sent)) == {0, np.float32(1 / 0.75)}


@pytest.fixture(scope='module')
def model():
  return models.make('cnn', num_classes=3, width=0.0625)


def test_where_a_defence_acts(model):
  every = ('conv_1', 'conv_2', 'prediction')

  def changed(text):
    return cuts.list_changed(text, model, (16, 16, 3), every)

  assert changed('none') == changed('bido') == ()
  assert changed('noise') == ('conv_1', 'conv_2')  # the answer is never changed
  assert changed('noise:at=*_2') == ('conv_2',)


@dataclasses.dataclass(frozen=True)
class Half(defences.Defence):
  """Sends half of an activation, and leaves the key alone."""

  def send(self, activation, key):
    del key
    return activation / 2


def test_what_is_drawn_anew_for_each_query(model, monkeypatch):
  shape = (16, 16, 3)
  monkeypatch.setitem(sys.modules, 'users', types.SimpleNamespace(Half=Half))
  for text, drawn in {
    'none': (False, False),
    'bido': (False, False),
    'users:Half': (False, False),
    'noise': (True, False),
    'dropout:at=conv_1': (False, False),
    'cem:at=conv_2': (True, False),
  }.items():
    found = [cuts.is_drawn(text, model, shape, at) for at in ('conv_2', 'prediction')]
    assert tuple(found) == drawn, text
  narrowed = defences.parse('vib').wrap(model, shape)
  for split, is_drawn in {
    'conv_2': False,
    'bottleneck/statistics': False,
    'bottleneck': True,
    'prediction': True,
  }.items():
    assert cuts.is_drawn('vib', narrowed, shape, split) == is_drawn, split


@pytest.mark.parametrize('place', ['device', 'host', 'disk'])
def test_a_further_query_draws_anew_what_is_drawn(model, place, tmp_path):
  variables = tiny.random_variables(model, jnp.zeros((1, 16, 16, 3)), (1,))
  lanes = [
    AttackLane(0, Lane('cnn', 'tiny', Treatment(defence=text), 0), 'conv_2')
    for text in ('none', 'noise:sigma=0.5')
  ]

  def query(images, **options):
    path = tmp_path / f'{len(list(tmp_path.iterdir()))}.npy'
    kept = interception.intercept(
      model, variables, lanes, images, place=place, path=path, **options
    )
    assert isinstance(kept, jax.Array) == (place == 'device')
    return kept

  first = query(IMAGES)
  second, third = (query(IMAGES[:4], number=n, known=first) for n in (1, 2))
  again = query(IMAGES[:4], number=2, known=first)
  for plain, noisy in (second, third):
    np.testing.assert_array_equal(plain, first[0, :4])
    assert (noisy != first[1, :4]).all()
  assert (np.asarray(second[1]) != third[1]).all()
  np.testing.assert_array_equal(again, third)


def test_the_attacker_sees_what_is_sent(model):
  variables = tiny.random_variables(model, jnp.zeros((1, 16, 16, 3)), (2,))
  texts = ['none', 'noise:sigma=0:clip=0.5', 'noise:sigma=0.5:clip=1:at=conv_1']
  lanes = [
    AttackLane(target, Lane('cnn', 'tiny', Treatment(defence=text), 0), 'conv_2')
    for target, text in [(0, texts[0]), (0, texts[1]), (1, texts[2])]
  ]
  seen = np.asarray(interception.intercept(model, variables, lanes, IMAGES))
  plain, clipped, elsewhere = seen
  norms = np.linalg.norm(plain.reshape(6, -1), axis=1)[:, None, None, None]
  np.testing.assert_allclose(clipped, plain * np.minimum(1, 0.5 / norms), rtol=1e-4)
  undefended = [AttackLane(1, Lane('cnn', 'tiny', Treatment(), 0), 'conv_2')]
  bare = interception.intercept(model, variables, undefended, IMAGES)
  np.testing.assert_array_equal(elsewhere, bare[0])


def test_a_search_goes_through_what_is_sent(model):
  variables = tiny.random_variables(model, jnp.zeros((1, 16, 16, 3)), (1,))
  lanes = [
    AttackLane(0, Lane('cnn', 'tiny', Treatment(defence=text), 0), 'conv_1')
    for text in ('none', 'noise:sigma=0:clip=0.5')
  ]
  sent = interception.intercept(model, variables, lanes, IMAGES[:2])
  edges = jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=0), variables)
  found = optimisation.reconstruct(
    model, edges, lanes, sent, (16, 16, 3), optimisation.Search(steps=2, tv=0)
  )
  # The error of a search that clips too cannot exceed the square of two norms.
  assert (
    found.errors[1].max() <= (2 * 0.5) ** 2 / sent[0, 0].size < found.errors[0].min()
  )


def test_the_cloud_goes_on_from_what_is_sent(model):
  variables = tiny.random_variables(model, jnp.zeros((1, 16, 16, 3)))
  images = jnp.asarray(IMAGES, jnp.float32) / 255
  defence = defences.parse('dropout:rate=0.5')
  found = cuts.apply(
    model, variables, images, 'conv_2', defence.form, defence.numbers, key=KEY
  )
  sent = partition.edge(model, variables, images, 'conv_2')
  sent = cuts.send(defence.form, defence.numbers, sent, 'conv_2', KEY)
  expected = partition.cloud(
    model, variables, sent, 'conv_2', image_shape=images.shape[1:]
  )
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
  assert (found != model.apply(variables, images)).any()
