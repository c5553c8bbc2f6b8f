"""A decoder as an attack: its programs, what it reads, and its restoring."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made_up_scenario import (
  HELD_OUT,
  IMAGE,
  MAP,
  RECIPE,
  SHAPE,
  TEST,
  TRAIN,
  made_up,
  make_scenario,
)

from gpz_jax.attacks.activation import decoder_attack, inversion, objective
from gpz_jax.attacks.activation.decoder_attack import DecoderAttack
from gpz_jax.attacks.activation.interception import Intercepted
from gpz_jax.attacks.activation.protocol import Dimensions
from gpz_jax.attacks.activation.search_attack import SearchAttack

ATTACK = DecoderAttack(enhance='normalize_concat')
SIZES = Dimensions(SHAPE, IMAGE, jnp.float32, 2, TRAIN, HELD_OUT)


def test_a_decoder_needs_six_arrays_for_each_parameter():
  # Upsamplings 8-32-32 of 16ab + 3b and the one slope of PReLU, then 9 * 32 * 3.
  num_params = (16 * 8 * 32 + 96) + (16 * 32 * 32 + 96 + 1) + 864
  assert DecoderAttack().make_network(SHAPE, IMAGE).num_params == num_params
  assert DecoderAttack().bytes_per_lane(SHAPE, IMAGE) == 6 * 4 * num_params
  assert SearchAttack().bytes_per_lane(SHAPE, IMAGE) == 0


@pytest.fixture(scope='module')
def ran():
  """A decoder attack by programs compiled ahead: scenario, trainer and outcome."""
  trainer = ATTACK.compile_ahead(SIZES, RECIPE, MAP)
  assert trainer.traces == 1
  scenario = make_scenario(trainer=trainer)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(inversion, 'make_trainer', None)  # another trainer would fail
    outcome = ATTACK.run(scenario)
  return scenario, trainer, outcome


def test_run_uses_the_programs_compiled_ahead(ran):
  _, trainer, outcome = ran
  assert trainer.traces == 1
  assert outcome.is_finite.tolist() == [True, True]
  assert outcome.steps.tolist() == [4, 4]  # 2 epochs of 2 batches
  assert (outcome.n_train, outcome.n_test, outcome.epochs) == (TRAIN, TEST, 2)
  assert outcome.architecture == 'FeatureDecoder'
  assert outcome.num_params == ATTACK.make_network(SHAPE, IMAGE).num_params
  assert outcome.history['mse'].shape == (2, 2)


def test_what_was_saved_restores_the_same_reconstructions(ran):
  scenario, _, outcome = ran
  blank = ATTACK.blank(scenario)
  chex.assert_trees_all_equal_shapes_and_dtypes(blank, outcome.saved)
  saved = jax.tree.map(np.asarray, outcome.saved)  # as read from a checkpoint
  restored = ATTACK.restore(scenario, saved)
  rows = np.arange(32) % TEST
  for name in ('on_test', 'on_train'):
    found, expected = (getattr(each, name)(rows) for each in (restored, outcome))
    chex.assert_shape(expected, (2, 32, *IMAGE))
    np.testing.assert_array_equal(found, expected)
  assert restored._replace(history=outcome.history).num_params == outcome.num_params


def test_a_decoder_is_given_a_new_draw_in_the_form_that_it_reads(monkeypatch):
  tokens = made_up(0, 2, TRAIN + HELD_OUT, 5, 8)
  scenario = make_scenario(
    intercepted=Intercepted(tokens, tokens, 'host'),
    held_out_activations=tokens[:, TRAIN:],
    redraw=lambda number: number * tokens[:, :TRAIN],
  )
  found = {}

  def train(*args, redraw, **options):
    found.update({epoch: redraw(epoch) for epoch in (1, 2)})
    raise StopIteration

  monkeypatch.setattr(inversion, 'train', train)
  with pytest.raises(StopIteration):
    DecoderAttack(input='cls').run(scenario)
  for epoch, read in found.items():
    np.testing.assert_allclose(read, epoch * tokens[:, :TRAIN, 0])


def test_decoders_read_what_belongs_to_each_subset(ran):
  scenario, _, outcome = ran
  rows = np.arange(32) % TEST
  decoder = ATTACK.make(SHAPE, IMAGE)
  for name, activations in {
    'on_test': scenario.intercepted.test,
    'on_train': scenario.intercepted.aux,
  }.items():
    expected = inversion.decode_rows(decoder, outcome.saved, activations, MAP, rows)
    np.testing.assert_array_equal(getattr(outcome, name)(rows), expected)


def test_the_epoch_is_chosen_by_the_held_out_images_and_their_activations(ran):
  scenario, _, outcome = ran
  rebuilt = inversion.reconstruct(
    ATTACK.make(SHAPE, IMAGE),
    outcome.saved,
    scenario.held_out_activations,
    engine=MAP,
  )
  errors = np.square(rebuilt - scenario.held_out.image / 255).mean(axis=(1, 2, 3, 4))
  np.testing.assert_allclose(outcome.history['mse'].min(axis=0), errors, rtol=1e-5)
  np.testing.assert_allclose(outcome.saved.best.value, errors, rtol=1e-5)


def test_programs_are_compiled_for_what_the_decoder_is_given(monkeypatch):
  given = {}

  def note(decoder, train_data, held_out, recipe, **options):
    given.update(train=train_data, held_out=held_out, **options)

  monkeypatch.setattr(decoder_attack, 'make_trainer', note)
  attack = DecoderAttack(input='cls_patch', enhance='normalize_input')
  sizes = dataclasses.replace(SIZES, activation=(17, 6))  # a token and 4x4 patches
  attack.compile_ahead(sizes, RECIPE, MAP)
  assert given['ahead']
  assert [leaf.shape for leaf in given['train']] == [(2, 12, 4, 4, 12), (12, *IMAGE)]
  assert [leaf.shape for leaf in given['held_out']] == [(2, 4, 4, 4, 12), (4, *IMAGE)]
  assert given['normalization_stats']['normalize']['mean'].shape == (2, 12)


def test_shapes_that_do_not_fit_name_the_argument():
  activations = jnp.zeros((2, 6, *SHAPE))
  images = np.zeros((6, *IMAGE), np.uint8)
  keys = jax.random.split(jax.random.key(0), 2)
  good, lacking = (activations, images), (activations, images[:5])
  with pytest.raises(AssertionError, match=r'held_out: activations \[L, N, ...\]'):
    objective.make_arguments(keys, good, lacking, None)
  with pytest.raises(AssertionError, match=r'train_data: activations \[L, N, ...\]'):
    objective.make_arguments(keys[:1], good, good, None)
