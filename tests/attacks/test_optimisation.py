import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import partition
from gpz_jax.attacks.activation import interception, optimisation, scores
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.models import layers
from gpz_jax.training.engine import Engine
from gpz_jax.types import Lane, Treatment

SHAPE = (16, 16, 3)


def score(reconstructions, images):
  return scores.evaluate(images, lambda rows: reconstructions[:, rows])


def test_total_variation_by_hand():
  # one step of 1 among 2 row differences and of 2 among 2 column differences
  image = jnp.array([[0.0, 2.0], [1.0, 2.0]]).reshape(1, 2, 2, 1)
  rows, columns = (1 + 0) / 2, (4 + 1) / 2
  np.testing.assert_allclose(optimisation.total_variation(image), [rows + columns])


def test_amsgrad_is_torch():
  torch = pytest.importorskip('torch')
  gradients = np.random.default_rng(0).normal(size=(5, 1, 2, 2, 1)).astype(np.float32)
  gradients[2:] *= 0.01  # so that the maximum matters, and epsilon too
  x = torch.zeros(gradients.shape[1:], requires_grad=True)
  optimizer = torch.optim.Adam([x], lr=0.1, eps=1e-3, amsgrad=True)
  state = jax.tree.map(lambda leaf: leaf[0], optimisation._start((1, 1, 2, 2, 1)))
  for gradient in gradients:
    x.grad = torch.tensor(gradient)
    optimizer.step()
    state = optimisation.amsgrad(state, jnp.asarray(gradient), 0.1)
  np.testing.assert_allclose(state.guess, x.detach().numpy(), rtol=1e-4)


class Target(nn.Module):
  """The least that can be cut: one block, and logits."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = layers.ConvBlock(16, name='conv_1')(layers.standardize(x), train=train)
    return nn.Dense(3, name='logits')(x.mean(axis=(1, 2)))


@pytest.fixture(scope='module')
def attack():
  """Two untrained targets, four blocky images, and what the targets send at conv_1."""
  model = Target()
  rng = np.random.default_rng(0)
  blocks = rng.integers(0, 255, (4, 4, 4, 3))
  images = np.repeat(np.repeat(blocks, 4, axis=1), 4, axis=2).astype(np.uint8)
  targets = [model.init(jax.random.key(i), jnp.zeros((1, *SHAPE))) for i in range(2)]
  targets = jax.tree.map(lambda *leaves: jnp.stack(leaves), *targets)
  lanes = [
    AttackLane(target, Lane('target', 'blocks', Treatment(), target), 'conv_1')
    for target in range(2)
  ]
  activations = interception.intercept(model, targets, lanes, images)
  return model, targets, lanes, images, activations


def test_search_recovers_images_behind_an_early_split(attack):
  model, targets, lanes, images, activations = attack
  search = optimisation.Search(steps=150, learning_rate=0.05, tv=0.0)
  seen = []
  found = optimisation.reconstruct(
    model, targets, lanes, activations, SHAPE, search,
    on_progress=lambda done, total, values: seen.append((done, total)),
  )  # fmt: skip
  assert found.reconstructions.shape == (2, 4, *SHAPE)
  assert seen == [(50, 150), (100, 150), (150, 150)]
  start = optimisation.Search(steps=1)
  first = optimisation.reconstruct(model, targets, lanes, activations, SHAPE, start)
  assert (found.errors < 0.1 * first.errors).all()
  mse = {name: score(value.reconstructions, images)
         for name, value in {'start': first, 'found': found}.items()}  # fmt: skip
  assert (mse['found']['mse'] < 0.5 * mse['start']['mse']).all()
  # the error that is reported is that of the activation of the reconstruction
  target = jax.tree.map(lambda leaf: leaf[1], targets)
  again = partition.edge(model, target, jnp.asarray(found.reconstructions[1]), 'conv_1')
  errors = np.square(again - activations[1]).mean(axis=(1, 2, 3))
  assert (errors < 0.2 * first.errors[1]).all()


def test_images_do_not_see_each_other(attack):
  model, targets, lanes, _, activations = attack
  search = optimisation.Search(steps=5, tv=1.0, l2=0.1)

  def run(activations, strategy):
    found = optimisation.reconstruct(
      model, targets, lanes, activations, SHAPE, search, engine=Engine(strategy)
    )
    return found.reconstructions

  together = run(activations, 'map')
  alone = run(activations[:, 1:2], 'vmap')
  np.testing.assert_allclose(alone, together[:, 1:2], atol=1e-4)


def test_total_variation_smooths(attack):
  model, targets, lanes, _, activations = attack
  rough, smooth = (
    optimisation.reconstruct(
      model, targets, lanes, activations, SHAPE,
      optimisation.Search(steps=30, learning_rate=0.05, tv=tv),
    ).reconstructions[0]
    for tv in (0.0, 1e3)
  )  # fmt: skip
  variation = optimisation.total_variation
  assert (variation(jnp.asarray(smooth)) < 0.5 * variation(jnp.asarray(rough))).all()


def test_l2_holds_the_guess_at_the_mean_colour(attack):
  model, targets, lanes, _, activations = attack
  free, held = (
    optimisation.reconstruct(
      model, targets, lanes, activations[:, :1], SHAPE,
      optimisation.Search(steps=10, learning_rate=0.05, tv=0.0, l2=l2),
    ).reconstructions
    for l2 in (0.0, 1e4)
  )  # fmt: skip
  start = optimisation._to_pixels(jnp.zeros((1, 1, *SHAPE)))
  assert np.abs(held - start).mean() < 0.5 * np.abs(free - start).mean()


def test_reconstructions_are_clipped_to_colours(attack):
  model, targets, lanes, _, activations = attack
  search = optimisation.Search(steps=20, learning_rate=1.0, tv=0.0)  # overshoots
  found = optimisation.reconstruct(model, targets, lanes, activations, SHAPE, search)
  assert found.reconstructions.min() == 0
  assert found.reconstructions.max() == 1


def test_evaluate_scores_every_lane(attack):
  images = attack[3]
  exact = images.astype(np.float32) / 255
  values = score(np.stack([exact, np.zeros_like(exact)]), images)
  np.testing.assert_allclose(
    values['mse'], [0, np.square(exact).mean()], rtol=1e-5, atol=1e-9
  )
  np.testing.assert_allclose(values['mse_paper'], 3 * values['mse'])
  np.testing.assert_allclose(values['ssim'][0], 1, rtol=1e-4)


def test_shapes_that_do_not_fit_name_the_argument(attack):
  model, targets, lanes, images, activations = attack
  with pytest.raises(AssertionError, match=r'activations \[L, N, ...\] must be of 2'):
    optimisation.reconstruct(model, targets, lanes, activations[:1], SHAPE)
  with pytest.raises(AssertionError, match=r'edges \[L, ...\] must be of 1 lanes'):
    optimisation.reconstruct(model, targets, lanes[:1], activations, SHAPE)
  with pytest.raises(AssertionError, match=r'images \[B, H, W, C\]'):
    optimisation.total_variation(jnp.zeros(SHAPE))
  with pytest.raises(AssertionError, match=r'images \[N, H, W, C\]'):
    interception.intercept(model, targets, lanes, images[0])
  one = jax.tree.map(lambda leaf: leaf[:1], targets)
  with pytest.raises(AssertionError, match='targets must hold the 2 targets'):
    interception.intercept(model, one, lanes, images)
  with pytest.raises(AssertionError, match=r'reconstruct\(rows\) must give'):
    score(np.zeros((2, 4, 8, 8, 3), np.float32), images)
  with pytest.raises(AssertionError, match=r'images \[N, H, W, C\]'):
    scores.evaluate(images[0], lambda rows: np.zeros((2, len(rows), *SHAPE)))
