import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from inversion_toys import Layered, make_layered, make_scenario
from toy_model_attack import Linear

from gpz_jax.attacks.model import chunks, layer_search, losses
from gpz_jax.attacks.model.search import Search
from gpz_jax.attacks.model.sight import Sight
from gpz_jax.generators import Generator
from gpz_jax.types import InputError

STEPS = (6, 4, 4)


def search(scenario, steps=STEPS, radii=(0.0, 0.0, 0.0), rate=0.05):
  """A layer search of the cross-entropy, run for all classes."""
  looks = Sight.of(scenario.model, scenario.engine.resolve(), scenario.image_shape)

  def pull(shared, render, where, item, key):
    return looks.pull(
      shared['target'], render, where, item.label, key, loss=losses.cross_entropy
    )

  layers = layer_search.LayerSearch(
    scenario.generator, pull, steps, radii, optax.adam(rate, 0.1, 0.1)
  )
  phases = layers.phases(lambda item, shared: item.given)
  one = Search(
    phases,
    lambda state, item, shared: {
      'latents': state.at.latents,
      'images': layers.images(state, shared),
      'began': state.latents,
      **({} if state.features is None else {'features': state.at.features}),
      **({} if state.features is None else {'features_began': state.features}),
    },
  )
  starts = np.random.default_rng(0).normal(size=(2, 3, 2, 5)).astype(np.float32)
  return chunks.run(one, scenario, 'layers', starts, at_once=2), starts


def test_each_phase_lowers_the_loss_and_goes_on_where_the_last_one_ended():
  found, _ = search(make_scenario(**make_layered()))
  loss = found['history/loss']
  assert loss.shape == (2, 3, sum(STEPS))
  assert (loss[..., -1] < loss[..., 0]).all()
  # What a phase begins with renders to the image that the phase before it ended with,
  # so its first loss is about one step's gain away from the last, and not at the start.
  begins = np.cumsum(STEPS)[:-1]
  gain = np.abs(np.diff(loss, axis=-1)).max(axis=-1)
  for begin in begins:
    jump = loss[..., begin] - loss[..., begin - 1]
    assert (jump <= 0.05).all()
    assert (np.abs(jump) <= 2 * gain).all()


def test_features_are_handed_on_with_what_was_changed_in_them():
  """By hand: the second phase begins with h1 and the third with what h1 gives then."""
  scenario = make_scenario(lanes=2, **make_layered())
  two, starts = search(scenario, STEPS[:2], (0.0, 0.0))
  three, _ = search(scenario)
  prior, latents = scenario.prior, two['latents'][1, 2]
  handed = Layered().features_from(
    prior, latents, 'second', two['features'][1, 2], 'third'
  )
  np.testing.assert_allclose(three['features_began'][1, 2], handed, atol=1e-5)
  unchanged = Layered().features(prior, latents, 'third')
  assert np.abs(handed - unchanged).max() > 1e-3
  one, _ = search(scenario, STEPS[:1], (0.0,))
  first = Layered().features(prior, one['latents'][1, 2], 'second')
  np.testing.assert_allclose(two['features_began'][1, 2], first, atol=1e-5)
  assert one['latents'].shape == starts.shape


def test_changes_stay_in_balls_of_their_radii():
  radii = (0.5, 0.3, 0.2)
  found, _ = search(make_scenario(**make_layered()), radii=radii)
  for name, began in (('latents', 'began'), ('features', 'features_began')):
    moved = np.abs(found[name] - found[began]).sum(axis=-1)
    assert (moved <= radii[-1] + 1e-5).all()
    np.testing.assert_allclose(moved.max(), radii[-1], atol=1e-4)  # the ball is felt


def test_a_step_is_adams_and_then_the_projection():
  origin = jnp.array([[0.0, 0.0], [1.0, 1.0]])
  moved = jnp.array([[3.0, -1.0], [1.0, 1.5]])
  found = layer_search.stay_near(moved, origin, 2.0)
  # 3 and 1 are lowered by 1 to sum to 2; 0.5 lies in the ball.
  np.testing.assert_allclose(found, [[2, 0], [1, 1.5]], atol=1e-6)


def test_a_candidate_with_a_broken_gradient_is_not_moved():
  gradient = (jnp.array([[1.0], [2.0]]), jnp.array([[[jnp.nan]], [[3.0]]]))
  found = layer_search.without_broken(gradient)
  np.testing.assert_array_equal(found[0], [[0], [2]])
  np.testing.assert_array_equal(found[1], [[[0]], [[3]]])


def test_generators_that_cannot_be_gone_through_are_refused():
  with pytest.raises(InputError, match='between its layers, but it lists 0'):
    layer_search.check_layers(Linear(), 2, 'IF-GMI')

  class Deaf(Layered):
    features_from = Generator.features_from

  with pytest.raises(InputError, match='Deaf has no features_from'):
    layer_search.check_layers(Deaf(), 3, 'IF-GMI')
  layer_search.check_layers(Deaf(), 2, 'IF-GMI')
  layer_search.check_layers(Layered(), 3, 'IF-GMI')


def test_the_default_hands_features_on_to_the_layer_itself_only():
  class Deaf(Layered):
    features_from = Generator.features_from

  latents = jax.numpy.ones((1, 5))
  same = Deaf().features_from({}, latents, 'second', latents, 'second')
  np.testing.assert_array_equal(same, latents)
  with pytest.raises(InputError, match="from 'second' on to 'third'"):
    Deaf().features_from({}, latents, 'second', latents, 'third')
