"""The inversion attack: lanes, traces, frozen lanes, and the decoder against torch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import metrics, models, partition
from gpz_jax.attacks.activation import (
  cohorts,
  decoders,
  interception,
  inversion,
  objective,
)
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.training import loop, step
from gpz_jax.training import objective as training_objective
from gpz_jax.training.engine import Engine
from gpz_jax.training.evaluation import Evaluation
from gpz_jax.training.recipe import DECODER
from gpz_jax.types import Lane, Treatment

RECIPE = dataclasses.replace(DECODER, epochs=3, batch_size=8, learning_rate=2e-3)
SHAPE, IMAGE = (4, 4, 8), (16, 16, 3)
MAP = Engine('map')


def attack_lanes(count):
  return [AttackLane(i, Lane('m', 'd', Treatment(), i), 'split') for i in range(count)]


def made_up(count, images=40):
  """Activations that hold the image's colour, so that there is something to learn."""
  image = tiny.dataset(0, images).image
  colour = image.mean(axis=(1, 2)) / 255
  rng = np.random.default_rng(1)
  mix = rng.normal(size=(count, 3, np.prod(SHAPE)))
  activation = np.einsum('nc,lcd->lnd', colour, mix).reshape(count, images, *SHAPE)
  return jnp.asarray(activation, jnp.float32), image


def train(count, engine=MAP, **changes):
  activation, image = made_up(count)
  decoder = decoders.make(SHAPE, IMAGE)
  recipe = dataclasses.replace(RECIPE, **changes)
  found, history = inversion.train(
    decoder,
    attack_lanes(count),
    (activation[:, :32], image[:32]),
    (activation[:, 32:], image[32:]),
    recipe,
    engine=engine,
  )
  return decoder, found, history, activation, image


def test_decoders_learn():
  decoder, found, history, activation, image = train(2, epochs=12)
  assert (history['mse'][-1] < 0.5 * history['mse'][0]).all()
  scores = inversion.evaluate(decoder, found, activation, image)
  assert (scores['mse'] < 0.02).all()
  np.testing.assert_allclose(scores['mse_paper'], 3 * scores['mse'], rtol=1e-6)


def test_a_lane_alone_equals_the_same_lane_among_others_under_map():
  *_, together, _, _, _ = train(3)
  activation, image = made_up(3)
  alone, _ = inversion.train(
    decoders.make(SHAPE, IMAGE),
    attack_lanes(3)[1:2],
    (activation[1:2, :32], image[:32]),
    (activation[1:2, 32:], image[32:]),
    RECIPE,
    engine=MAP,
  )
  for one, many in zip(
    jax.tree.leaves(alone.best), jax.tree.leaves(together.best), strict=True
  ):
    np.testing.assert_array_equal(one[0], many[1])


def test_vmap_agrees_with_map_closely():
  *_, mapped, _, _, _ = train(2)
  *_, batched, _, _, _ = train(2, Engine('vmap'))
  np.testing.assert_allclose(mapped.best.value, batched.best.value, rtol=0.05)


def test_one_trace_serves_all_epochs_and_lengths(monkeypatch):
  trainers = []
  original = loop.Trainer.__init__
  monkeypatch.setattr(
    loop.Trainer,
    '__init__',
    lambda self, *args: (original(self, *args), trainers.append(self))[0],
  )
  train(2, epochs=4)
  assert [trainer.traces for trainer in trainers] == [1]


def test_a_lane_that_goes_non_finite_freezes_alone():
  activation, image = made_up(3)
  poisoned = activation.at[1, 5].set(jnp.nan)

  def fit(activation):
    return inversion.train(
      decoders.make(SHAPE, IMAGE),
      attack_lanes(3),
      (activation[:, :32], image[:32]),
      (activation[:, 32:], image[32:]),
      RECIPE,
      engine=MAP,
    )[0]

  clean, found = fit(activation), fit(poisoned)
  assert found.is_finite.tolist() == [True, False, True]
  assert found.step[1] < found.step[0]
  for a, b in zip(
    jax.tree.leaves(clean.best), jax.tree.leaves(found.best), strict=True
  ):
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[2], b[2])
    assert np.isfinite(b).all()


def test_capture_equals_the_edge_for_every_lane():
  model = models.make('cnn', num_classes=3, width=0.0625)
  task = tiny.task(size=16)
  variables = [
    model.init(jax.random.key(seed), jnp.zeros((1, *IMAGE))) for seed in (0, 1)
  ]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *variables)
  lanes = [AttackLane(i, Lane('m', 'd', Treatment(), i), 'conv_2') for i in (1, 0)]
  found = interception.intercept(model, stacked, lanes, task.test.image)
  assert found.shape == (2, 40, 4, 4, 8)
  for row, target in zip(found, (1, 0), strict=True):
    image = jnp.asarray(task.test.image, jnp.float32) / 255
    expected = partition.edge(model, variables[target], image, 'conv_2')
    np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)


def test_evaluate_counts_every_image_once_and_batches_by_32():
  decoder, found, _, activation, image = train(1, epochs=1)
  scores = inversion.evaluate(decoder, found, activation, image)
  rebuilt = np.asarray(inversion.reconstruct(decoder, found, activation))[0]
  errors = np.asarray(metrics.mse(jnp.asarray(image / 255.0, jnp.float32), rebuilt))
  np.testing.assert_allclose(scores['mse'][0], errors.mean(), rtol=1e-5)
  batches = [errors[:32].mean(), errors[32:].mean()]  # 40 images
  expected = np.mean([-10 * np.log10(batch) for batch in batches])
  np.testing.assert_allclose(scores['psnr_paper'][0], expected, rtol=1e-5)


def test_cohorts_group_by_shape_in_forward_order():
  shapes = {
    name: jax.ShapeDtypeStruct(shape, jnp.float32)
    for name, shape in {'a': (8, 8, 2), 'b': (4, 4, 2), 'c': (8, 8, 2)}.items()
  }
  assert cohorts.cohorts(shapes, ('a', 'b', 'c')) == {
    (8, 8, 2): ('a', 'c'),
    (4, 4, 2): ('b',),
  }


def test_selection_on_aux_holds_out_a_tenth_and_never_the_test_subset():
  task = tiny.task()
  train, held_out = cohorts.subsets(task, 'aux')
  assert (len(train), len(held_out)) == (45, 5)
  joined = np.concatenate([train.image, held_out.image])
  np.testing.assert_array_equal(joined, task.aux.image)
  assert cohorts.subsets(task, 'test') == (task.aux, task.test)


def test_decoder_equals_torch_in_output_and_one_adam_step():
  torch = pytest.importorskip('torch')
  nn = torch.nn
  shape, image_shape = (4, 4, 64), (16, 16, 3)
  decoder = decoders.make(shape, image_shape)
  key = jax.random.key(0)
  z = np.asarray(jax.random.normal(key, (6, *shape)))
  image = np.asarray(jax.random.randint(key, (6, *image_shape), 0, 256), np.uint8)
  x = image.astype(np.float32) / 255
  variables = decoder.init(key, z)
  reference = nn.Sequential(
    nn.ConvTranspose2d(64, 32, 4, 2, 1),
    nn.BatchNorm2d(32),
    nn.Tanh(),
    nn.ConvTranspose2d(32, 32, 4, 2, 1),
    nn.BatchNorm2d(32),
    nn.PReLU(),
    nn.ConvTranspose2d(32, 3, 3, 1, 1, bias=False),
    nn.Sigmoid(),
  ).double()

  def to_torch(params):
    ups = [params['up_0'], params['up_1']]
    tensors = []
    for up in ups:
      tensors.append(np.transpose(up['conv']['kernel'], (2, 3, 0, 1)))
      tensors += [up['conv']['bias'], up['norm']['scale'], up['norm']['bias']]
    tensors.append(np.reshape(params['up_1']['PReLU_0']['slope'], (1,)))
    # a stride-1 transposed convolution is a convolution with the flipped kernel
    out = np.asarray(params['out']['kernel'])[::-1, ::-1]
    return [*tensors, np.transpose(out, (2, 3, 0, 1))]

  with torch.no_grad():
    for parameter, value in zip(
      reference.parameters(), to_torch(variables['params']), strict=True
    ):
      parameter.copy_(torch.tensor(np.array(value)))
  optimizer = torch.optim.Adam(
    reference.parameters(), lr=2e-4, betas=(0.5, 0.999), amsgrad=True
  )
  output = reference(torch.tensor(z).double().permute(0, 3, 1, 2))
  nn.functional.mse_loss(
    output, torch.tensor(x).double().permute(0, 3, 1, 2)
  ).backward()
  optimizer.step()

  with jax.enable_x64(True):  # float32 sums may be 1e-5 apart between processors
    double = jax.tree.map(lambda a: np.asarray(a, np.float64), (variables, z))
    found, _ = decoder.apply(*double, train=True, mutable=['batch_stats'])
  np.testing.assert_allclose(
    found, output.detach().permute(0, 2, 3, 1).numpy(), atol=1e-5
  )
  trainer = loop.Trainer(
    training_objective.Objective(
      decoder,
      shape,
      objective._make_loss(decoder, MAP.resolve()),
      Evaluation(lambda *a: {}, 1, 1),
      'mse',
      'mse',
    ),
    dataclasses.replace(DECODER, batch_size=6),
    MAP.resolve(),
  )
  lane = {'key': key, 'train': jnp.asarray(z), 'normalization_stats': {}}
  state = loop.create_fit_state(key, decoder, jnp.zeros((1, *shape)), trainer.tx).train
  state = state.replace(
    params=variables['params'], batch_stats=variables['batch_stats']
  )
  batch = step.Batch(jnp.arange(6), jnp.ones(6))
  shared = {'train': jnp.asarray(image)}
  state, _ = step.train_step(
    trainer.objective.loss,
    trainer.tx,
    state,
    lane,
    shared,
    batch,
    jnp.float32(2e-4),
    0.0,
  )
  # Adam's first step is the sign of the gradient, so where a gradient is as small as
  # rounding (all biases before a norm) the two may differ by up to two whole steps.
  for parameter, value in zip(
    reference.parameters(), to_torch(state.params), strict=True
  ):
    clear = parameter.grad.abs().numpy() > 1e-5
    found, wanted = np.asarray(value)[clear], parameter.detach().numpy()[clear]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
  assert clear.mean() > 0.9


def test_shapes_that_do_not_fit_name_the_argument():
  activation, image = made_up(2, images=4)
  decoder = decoders.make(SHAPE, IMAGE)
  blank = inversion.blank(decoder, SHAPE, 2)
  with pytest.raises(AssertionError, match=r'activations .* of decoders \[L\]'):
    inversion.reconstruct(decoder, blank, activation[:1])
  with pytest.raises(AssertionError, match=r'activations .* of decoders \[L\]'):
    inversion.evaluate(decoder, blank, activation[:1], image)
  with pytest.raises(AssertionError, match=r'activations \[L, N, ...\] and images'):
    inversion.evaluate(decoder, blank, activation, image[:3])
  data = activation, image
  with pytest.raises(AssertionError, match=r'held_out: activations'):
    inversion.train(decoder, attack_lanes(2), data, (activation, image[:3]), RECIPE)
