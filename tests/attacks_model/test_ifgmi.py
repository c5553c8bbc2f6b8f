import dataclasses

import jax
import numpy as np
import pytest
from inversion_toys import check_attack, make_layered, make_scenario

from gpz_jax.attacks.model import ifgmi, ppa, specs
from gpz_jax.generators.dcgan import DCGAN
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError

SETTINGS = {
  'text': 'ifgmi',
  'latents': 30,
  'candidates': 3,
  'final': 2,
  'steps': 10,
  'learning_rate': 0.05,
  'draws': 4,
  'antialias': 'no',
  'least_view': 1.0,
  'loss': 'cross_entropy',
}
SHORT = ifgmi.IfGmi(**SETTINGS, layers=2, layer_steps=5)


@pytest.mark.ci
def test_confidence_rises_and_nothing_depends_on_chunks_or_deaths(tmp_path):
  found = check_attack(SHORT, tmp_path, saves=3, **make_layered())
  confidence = found.history['confidence']
  # 10 steps for the latents and 5 for each of two layers; views that judge have none.
  assert confidence.shape == (2, 3, 20)
  assert (confidence[..., -1] > confidence[..., 0]).all()
  assert found.num_final == 2


def test_its_first_phase_is_ppas():
  scenario = make_scenario(**make_layered())
  plain = ppa.Ppa(**SETTINGS, decay=('none',)).run(scenario)
  found = SHORT.run(scenario)
  np.testing.assert_allclose(
    found.history['loss'][..., 0], plain.history['loss'][..., 0], rtol=1e-5
  )
  # What the layers add lowers the loss below that of the latents alone.
  assert (found.history['loss'][..., -1] < plain.history['loss'][..., -1]).mean() > 0.8


def test_vmap_agrees_with_map():
  scenario = make_scenario(lanes=1, **make_layered())
  found = SHORT.run(dataclasses.replace(scenario, engine=Engine('vmap')))
  expected = SHORT.run(scenario)
  np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-3)


def test_a_dcgan_is_entered_behind_its_first_layer():
  generator = DCGAN(size=8, width=2, channels=1, latent=5)
  scenario = make_scenario(
    lanes=1,
    classes=(0,),
    generator=generator,
    prior=generator.init(jax.random.key(0)),
  )
  attack = ifgmi.IfGmi(**SETTINGS, layers=1, layer_steps=5)
  found = attack.run(scenario)
  assert found.images.shape == (1, 1, 3, 8, 8, 1)
  assert found.history['loss'].shape == (1, 1, 15)
  loss = found.history['loss'][0, 0]
  assert loss[-1] < loss[9]  # features move the image further than the latents did


def test_tight_balls_keep_candidates_where_they_began():
  scenario = make_scenario(lanes=1, classes=(0, 1, 2), **make_layered())
  tight = ifgmi.IfGmi(**SETTINGS, layers=2, layer_steps=5, radii=('0.001',))
  moved = np.ptp(tight.run(scenario).history['loss'], axis=-1)
  free = np.ptp(SHORT.run(scenario).history['loss'], axis=-1)
  assert (moved < free).all()


def test_what_cannot_be_gone_through_is_refused():
  with pytest.raises(InputError, match='enters Linear between its layers'):
    SHORT.run(make_scenario())
  with pytest.raises(InputError, match=r'radii=a\|b are no radii'):
    ifgmi.IfGmi(text='ifgmi', radii=('a', 'b'))
  with pytest.raises(InputError, match='layer_steps=0 must be at least 1'):
    ifgmi.IfGmi(layer_steps=0)


def test_the_settings_are_the_published_ones():
  attack = ifgmi.IfGmi()
  assert (attack.steps, attack.layer_steps, attack.layers) == (50, 10, 7)
  assert attack.radius_of_phases == (1000, 2000, 3000, 4000, 5000, 6000, 8000, 8000)
  assert attack.loss == 'poincare'
  assert attack.learning_rate == 0.005


@pytest.mark.parametrize(
  'text',
  [
    'ifgmi:preset=small:layers=2:radii=10|20',
    'gmi:preset=small:adaptive=taa:views=4',
    'lomma_gmi:students=cnn|resnet18',
    'kedmi:preset=small',
    'lomma_kedmi:preset=small:feature_weight=0.4',
    'plg:preset=small:views=1',
    'brep:preset=small',
  ],
)
def test_attacks_can_be_named(text):
  attack = specs.parse(text)
  assert attack.text == text
  hash(attack)
