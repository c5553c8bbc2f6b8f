"""What every attack promises, and what is refused of its outcome."""

import dataclasses

import chex
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from made_up_scenario import (
  HELD_OUT,
  IMAGE,
  MAP,
  RECIPE,
  SHAPE,
  TEST,
  TRAIN,
  make_scenario,
)

from gpz_jax.attacks.activation import scores, specs
from gpz_jax.attacks.activation.protocol import (
  Attack,
  Dimensions,
  Network,
  Outcome,
  Scenario,
)
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Grey(Attack):
  """An attack with only `run`, which finds grey images."""

  def run(self, scenario: Scenario) -> Outcome:
    shape = (len(scenario.lanes), len(scenario.test), *scenario.image_shape)
    return Outcome.of(np.full(shape, 0.5))


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


def test_only_a_shadow_needs_aux_of_the_targets_classes():
  task = tiny.task()
  foreign = dataclasses.replace(task, aux_name='elsewhere')
  shadow = specs.parse('query_free')
  shadow.check_task(task)
  specs.parse('rmle').check_task(foreign)
  with pytest.raises(InputError, match=r"'query_free' needs aux.*=elsewhere"):
    shadow.check_task(foreign)
