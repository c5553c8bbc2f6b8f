"""What is kept of a reconstruction is what the target was shown of it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from inversion_toys import Layered, make_layered, make_scenario
from toy_model_attack import IMAGE, LATENT, Linear

from gpz_jax.attacks.model import brep, candidates, gmi, ifgmi, ppa, views
from gpz_jax.attacks.model.protocol import Outcome
from gpz_jax.model_inversion import scoring

LARGE = (12, 12, 1)  # the target is shown the 6x6 in the middle


class _Framed:
  """A generator whose images have a frame that targets have nothing to do with."""

  @property
  def image_shape(self):
    return LARGE

  @property
  def centre_crop(self):
    return 0.5

  def images(self, variables, latents):
    inner = super().images(variables, latents)
    return jnp.pad(inner, ((0, 0), (3, 3), (3, 3), (0, 0)), constant_values=1.0)


@dataclasses.dataclass(frozen=True)
class FramedLinear(_Framed, Linear):
  """One layer."""


SHORT = {'candidates': 3, 'steps': 3}
VIEWS = {
  'latents': 12,
  'final': 2,
  'draws': 2,
  'least_view': 1.0,
  'loss': 'cross_entropy',
}


@pytest.mark.parametrize(
  'attack',
  [
    gmi.GMI(text='gmi', prior_weight=0.0, **SHORT),
    ppa.Ppa(text='ppa', **VIEWS | SHORT),
    ppa.Ppa(text='ppa', **VIEWS | SHORT | {'crop': 0.5}),
    brep.BREP(text='brep', draws=20, points=4, **SHORT),
  ],
  ids=['gmi', 'ppa', 'crop', 'brep'],
)
def test_the_target_is_as_sure_of_what_is_kept_as_the_attack_said(attack):
  generator = FramedLinear()
  if getattr(attack, 'crop', 0):  # that of the attack goes before the generator's

    @dataclasses.dataclass(frozen=True)
    class Whole(FramedLinear):
      centre_crop = 1.0

    generator = Whole()
  scenario = make_scenario(lanes=1, generator=generator)
  outcome = attack.run(scenario)
  assert outcome.images.shape[3:] == IMAGE
  confidence = scoring.measure_confidence(scenario, outcome)
  whole = make_scenario(lanes=1)  # the same attack without a frame
  expected = dataclasses.replace(attack, **_without_crop(attack)).run(whole)
  np.testing.assert_array_equal(outcome.images, expected.images)
  if isinstance(attack, gmi.GMI):  # others' scores are radii, or of random views
    np.testing.assert_allclose(confidence, outcome.scores, atol=0.01)


def _without_crop(attack):
  return {'crop': 0.0} if getattr(attack, 'crop', 0) else {}


def test_what_is_larger_than_anybody_looks_at_is_made_smaller():
  images = jnp.linspace(0, 1, 12 * 8).reshape(1, 12, 8, 1)
  assert views.shrink(images, None) is images
  assert views.shrink(images, 12) is images
  found = views.shrink(images, 6)
  assert found.shape == (1, 6, 4, 1)
  np.testing.assert_allclose(found.mean(), images.mean(), atol=0.01)
  outcome = gmi.GMI(text='gmi', prior_weight=0.0, **SHORT).run(
    make_scenario(lanes=1, most_side=3)
  )
  assert outcome.images.shape[3:] == (3, 3, 1)


def test_an_attack_that_went_astray_is_no_zero_confidence():
  basis = jnp.full((LATENT, 36), jnp.nan)
  scenario = make_scenario(lanes=1, prior={'basis': basis})
  outcome = gmi.GMI(text='gmi', prior_weight=0.0, **SHORT).run(scenario)
  assert np.isnan(outcome.scores).all()
  quality = {'is_finite': np.array([True])}
  assert scoring._status(outcome, quality, 0, 0) == 'diverged'


def test_a_candidate_that_went_astray_counts_only_as_an_answer():
  scores = np.array([[[0.9, 0.5, np.nan]]])
  images = np.zeros((1, 1, 3, *IMAGE), np.uint8)
  quality = {'is_finite': np.array([True])}
  for num_final, status in ((2, 'done'), (3, 'diverged')):
    outcome = Outcome(images, scores, num_final, latents=np.zeros((1, 1, 3, LATENT)))
    assert scoring._status(outcome, quality, 0, 0) == status
  bad = Outcome(images, scores * 0, 2, latents=np.full((1, 1, 3, LATENT), np.inf))
  assert scoring._status(bad, quality, 0, 0) == 'diverged'


@pytest.mark.parametrize(
  ('count', 'groups', 'size'),
  [(50, 10, 5), (16, 2, 8), (12, 2, 6), (3, 1, 3), (9, 2, 5)],
)
def test_groups_have_no_filling_where_they_can_be_equal(count, groups, size):
  latents = np.arange(float(count)).reshape(1, 1, count, 1)
  assert candidates.divide(latents).shape == (1, 1, groups, size, 1)


def test_the_gradient_that_is_noted_is_that_of_the_latents_alone():
  """Features of a layer would outnumber them."""

  @dataclasses.dataclass(frozen=True)
  class Wide(Layered):
    """Its second layer is given a thousand features that do nothing."""

    def features_from(self, variables, latents, layer, features, wanted):
      features = features[..., : len(variables[layer])]
      found = super().features_from(variables, latents, layer, features, wanted)
      return jnp.pad(found, ((0, 0), (0, 1000))) if wanted == 'second' else found

  attack = ifgmi.IfGmi(
    text='ifgmi',
    layers=1,
    layer_steps=1,
    latents=12,
    candidates=2,
    final=2,
    steps=1,
    draws=1,
    learning_rate=1e-6,
    least_view=1.0,
    loss='cross_entropy',
  )
  layered = make_layered()
  plain = attack.run(make_scenario(lanes=1, **layered))
  wide = attack.run(make_scenario(lanes=1, **layered | {'generator': Wide()}))
  np.testing.assert_allclose(
    wide.history['gradient_mean'], plain.history['gradient_mean'], rtol=1e-4
  )
