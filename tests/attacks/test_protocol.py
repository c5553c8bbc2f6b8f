"""What every attack promises: its outcome, its programs and its restoring."""

import dataclasses

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax.attacks.activation import (
  decoder_attack,
  inversion,
  objective,
  optimisation,
  scores,
  specs,
)
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.decoder_attack import DecoderAttack
from gpz_jax.attacks.activation.interception import Intercepted
from gpz_jax.attacks.activation.protocol import (
  Attack,
  Dimensions,
  Network,
  Outcome,
  Scenario,
)
from gpz_jax.attacks.activation.search_attack import SearchAttack
from gpz_jax.models import layers
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import DECODER, IR
from gpz_jax.types import InputError, Lane, Treatment

SHAPE, IMAGE = (4, 4, 8), (16, 16, 3)
TRAIN, HELD_OUT, TEST = 12, 4, 5
MAP = Engine('map').resolve()
RECIPE = dataclasses.replace(DECODER, epochs=2, batch_size=8, learning_rate=2e-3)


class Target(nn.Module):
  """The least that can be cut: one block, and logits."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = layers.ConvBlock(4, name='conv_1')(layers.standardize(x), train=train)
    return nn.Dense(3, name='logits')(x.mean(axis=(1, 2)))


@dataclasses.dataclass(frozen=True)
class Grey(Attack):
  """An attack with only `run`, which finds grey images."""

  def run(self, scenario: Scenario) -> Outcome:
    shape = (len(scenario.lanes), len(scenario.test), *scenario.image_shape)
    return Outcome.of(np.full(shape, 0.5))


def made_up(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_scenario(**changes) -> Scenario:
  """Two lanes whose targets are in the opposite order, with made-up activations."""
  lanes = [
    AttackLane(i, Lane('m', 'd', Treatment(), i), split='conv_1') for i in (1, 0)
  ]
  aux = jnp.asarray(made_up(0, 2, TRAIN + HELD_OUT, *SHAPE))
  scenario = Scenario(
    model=Target(),
    targets=None,
    lanes=lanes,
    intercepted=Intercepted(aux, jnp.asarray(made_up(1, 2, TEST, *SHAPE)), 'device'),
    train=tiny.dataset(0, TRAIN),
    held_out=tiny.dataset(1, HELD_OUT),
    held_out_activations=aux[:, TRAIN:],
    test=tiny.dataset(2, TEST),
    decoder_recipe=RECIPE,
    target_recipe=IR,
    engine=MAP,
  )
  return dataclasses.replace(scenario, **changes)


def test_a_scenario_gives_the_activations_of_its_training_images():
  scenario = make_scenario()
  assert scenario.image_shape == IMAGE
  found = scenario.train_activations
  chex.assert_shape(found, (2, TRAIN, *SHAPE))
  np.testing.assert_array_equal(found, scenario.intercepted.aux[:, :TRAIN])


def test_outcome_of_finished_reconstructions():
  made = np.random.default_rng(0).random((2, 3, 4, 4, 1))
  outcome = Outcome.of(made, epochs=7)
  assert (outcome.n_test, outcome.epochs) == (3, 7)
  assert outcome.is_finite.tolist() == [True, True]
  found = outcome.on_test(np.array([2, 0]))
  np.testing.assert_array_equal(found, made[:, [2, 0]].astype(np.float32))


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_one_pixel_that_is_not_finite_marks_its_lane_only(value):
  made = np.full((3, 2, 4, 4, 1), 0.5)
  made[1, 1, 3, 3, 0] = value
  assert Outcome.of(made).is_finite.tolist() == [True, False, True]


@pytest.mark.parametrize(
  ('made', 'message'),
  [
    (np.full((1, 1, 2, 2, 1), 255.0), r'pixels from 0 to 255; give them in \[0, 1\]'),
    (np.full((1, 1, 2, 2, 1), -0.5), r'pixels from -0.5 to 0; give them in \[0, 1\]'),
    (np.zeros((1, 2, 2, 1)), r'shape \(1, 2, 2, 1\); give \[L, N, H, W, C\]'),
  ],
)
def test_reconstructions_that_cannot_be_scored_are_refused(made, message):
  with pytest.raises(InputError, match=message) as caught:
    Outcome.of(made)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('scale', 'shift'), [(2, -1), (255, 0)])
def test_what_is_rebuilt_when_it_is_asked_for_is_checked_too(scale, shift):
  images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), np.uint8)
  perfect = np.stack([images, images]).astype(np.float32) / 255
  perfect[1, 2] = np.nan  # a lane that diverged is no error
  found = scores.evaluate(images, lambda rows: perfect[:, rows])
  assert found['mse'][0] < 1e-9
  assert np.isnan(found['mse'][1])
  outcome = Outcome(lambda rows: scale * perfect[:, rows] + shift, 5, [True, True])
  with pytest.raises(InputError, match=rf'pixels from {shift} to .*; give them in \['):
    scores.evaluate(images, outcome.on_test)


def test_an_attack_needs_only_run():
  attack, scenario = Grey(), make_scenario()
  assert (attack.text, attack.at, attack.reads_prediction) == ('', (), False)
  attack.check_task(tiny.task())
  attack.check_shape(SHAPE, IMAGE)
  assert attack.make_network(SHAPE, IMAGE) is None
  assert attack.bytes_per_lane(SHAPE, IMAGE) == 0
  sizes = Dimensions(SHAPE, IMAGE, jnp.float32, 2, TRAIN, HELD_OUT)
  assert attack.compile_ahead(sizes, RECIPE, MAP) is None
  assert attack.blank(scenario) is None
  with pytest.raises(NotImplementedError, match='Grey saves nothing'):
    attack.restore(scenario, None)
  outcome = attack.run(scenario)
  assert outcome.n_test == TEST
  assert outcome.saved is None
  assert outcome.on_train is None
  with pytest.raises(TypeError, match='run'):
    Attack()


def test_the_network_counts_the_parameters_of_one_lane():
  assert Network(nn.Dense(5), (7,)).num_params == 7 * 5 + 5


def test_a_decoder_needs_six_arrays_for_each_parameter():
  # Upsamplings 8-32-32 of 16ab + 3b and the one slope of PReLU, then 9 * 32 * 3.
  num_params = (16 * 8 * 32 + 96) + (16 * 32 * 32 + 96 + 1) + 864
  assert DecoderAttack().make_network(SHAPE, IMAGE).num_params == num_params
  assert DecoderAttack().bytes_per_lane(SHAPE, IMAGE) == 6 * 4 * num_params
  assert SearchAttack().bytes_per_lane(SHAPE, IMAGE) == 0


ATTACK = DecoderAttack(enhance='normalize_concat')
SIZES = Dimensions(SHAPE, IMAGE, jnp.float32, 2, TRAIN, HELD_OUT)


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


def test_a_search_goes_through_the_edge_of_its_own_target():
  model = Target()
  image = jnp.zeros((1, *IMAGE))
  targets = tiny.random_variables(model, image, lanes=(2,))
  sent = jnp.abs(made_up(3, 2, TEST, 16, 16, 4))
  scenario = make_scenario(
    targets=targets, intercepted=Intercepted(sent[:, :0], sent, 'device')
  )
  attack = SearchAttack(images=3, steps=2)
  outcome = attack.run(scenario)
  assert (outcome.n_test, outcome.n_train, outcome.steps) == (3, 0, 2)
  assert outcome.is_finite.tolist() == [True, True]
  assert SearchAttack(images=9, steps=2).run(scenario).n_test == TEST
  edges = jax.tree.map(lambda leaf: leaf[::-1], targets)  # as the lanes name them
  expected = optimisation.reconstruct(
    model, edges, scenario.lanes, sent[:, :3], IMAGE, attack.search, engine=MAP
  )
  rows = np.array([2, 0])
  np.testing.assert_array_equal(
    outcome.on_test(rows), expected.reconstructions[:, rows]
  )


def test_a_search_that_is_not_finite_is_marked():
  targets = tiny.random_variables(Target(), jnp.zeros((1, *IMAGE)), lanes=(2,))
  sent = jnp.ones((2, TEST, 16, 16, 4)).at[1, 2, 0, 0, 0].set(jnp.nan)
  intercepted = Intercepted(sent[:, :0], sent, 'device')
  scenario = make_scenario(targets=targets, intercepted=intercepted)
  outcome = SearchAttack(images=3, steps=2).run(scenario)
  assert outcome.is_finite.tolist() == [True, False]


def test_only_a_shadow_needs_aux_of_the_targets_classes():
  task = tiny.task()
  foreign = dataclasses.replace(task, aux_name='elsewhere')
  shadow = specs.parse('query_free')
  shadow.check_task(task)
  specs.parse('rmle').check_task(foreign)
  with pytest.raises(InputError, match=r"'query_free' needs aux.*=elsewhere"):
    shadow.check_task(foreign)
