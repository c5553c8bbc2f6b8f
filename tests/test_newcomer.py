"""A newcomer's first hour: the wheel, an empty folder, and the sentences it gives.

Nothing of the repository can be imported there. The files are a newcomer's own. What is
asserted on is what they read: where an attack learnt nothing, it must say so.
"""

import itertools
import os
import pathlib
import re

import numpy as np
import PIL.Image
import pytest
import wheels
from safetensors.numpy import save_file

pytestmark = pytest.mark.slow

NET = """
import flax.linen as nn


class Block(nn.Module):
  features: int
  stride: int

  @nn.compact
  def __call__(self, x, *, deterministic):
    y = nn.Conv(self.features, (3, 3), strides=self.stride, use_bias=False)(x)
    y = nn.relu(nn.BatchNorm(use_running_average=deterministic)(y))
    y = nn.Conv(self.features, (3, 3), use_bias=False)(y)
    y = nn.BatchNorm(use_running_average=deterministic)(y)
    x = nn.Conv(self.features, (1, 1), strides=self.stride, use_bias=False)(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  num_classes: int

  @nn.compact
  def __call__(self, x, *, deterministic):
    for i, features in enumerate((8, 16), 1):
      x = Block(features, 2, name=f'block_{i}')(x, deterministic=deterministic)
    return nn.Dense(self.num_classes, name='logits')(x.mean((1, 2)))
"""
DECODER = """
import flax.linen as nn
import jax.numpy as jnp


class Decoder(nn.Module):
  image_shape: tuple[int, int, int]

  @nn.compact
  def __call__(self, activation, *, train=False):
    height, width, channels = self.image_shape
    x = nn.Dense(height * width * channels)(activation.reshape(len(activation), -1))
    return nn.sigmoid(x).reshape(len(x), height, width, channels)


def make(activation_shape, image_shape):
  return Decoder(image_shape)


def robust(images, reconstructions):
  error = images - reconstructions
  return jnp.mean(jnp.sqrt(error**2 + 1e-4), axis=(1, 2, 3))
"""
QUICKSTART = ['--preset=quickstart', '--alphas=0']
TINY = [
  *('--dataset=./pictures', '--alphas=0', '--target_epochs=3', '--decoder_epochs=3'),
  *('--target_batch_size=16', '--target_learning_rate=1e-3'),
  *('--decoder_batch_size=16', '--decoder_learning_rate=1e-3'),
]


def draw_pictures(root: pathlib.Path) -> None:
  """Grey images of 48x32: bars that lie, and bars that stand."""
  rng = np.random.default_rng(0)
  for subset, count in (('train', 160), ('test', 40)):
    for label, axis in (('lying', 0), ('standing', 1)):
      folder = root / subset / label
      folder.mkdir(parents=True)
      for i in range(count):
        place = np.arange((48, 32)[axis])
        wave = np.sin(2 * np.pi * (place / 8 + rng.random())) * 60 + 120
        image = np.broadcast_to(np.expand_dims(wave, 1 - axis), (48, 32))
        noise = rng.normal(0, 10, (48, 32))
        pixels = (image + noise).clip(0, 255).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f'{i}.png')


def make_resnet18(num_classes: int) -> dict[str, np.ndarray]:
  """Random weights under the names and of the shapes of torchvision's ResNet-18."""
  rng = np.random.default_rng(0)
  arrays = {}

  def conv(name, out, features, size):
    scale = np.sqrt(2 / (features * size * size))
    arrays[f'{name}.weight'] = rng.normal(0, scale, (out, features, size, size))

  def norm(name, features):
    for part, value in (('weight', 1), ('bias', 0)):
      arrays[f'{name}.{part}'] = np.full(features, value)
    arrays[f'{name}.running_mean'] = np.zeros(features)
    arrays[f'{name}.running_var'] = np.ones(features)

  conv('conv1', 64, 3, 7)
  norm('bn1', 64)
  before = 64
  for stage, block in itertools.product(range(4), range(2)):
    name, features = f'layer{stage + 1}.{block}', 64 * 2**stage
    for i in (1, 2):
      conv(f'{name}.conv{i}', features, before if i == 1 else features, 3)
      norm(f'{name}.bn{i}', features)
    if before != features:
      conv(f'{name}.downsample.0', features, before, 1)
      norm(f'{name}.downsample.1', features)
    before = features
  arrays['fc.weight'] = rng.normal(0, 0.05, (num_classes, 512))
  arrays['fc.bias'] = np.zeros(num_classes)
  return {name: array.astype(np.float32) for name, array in arrays.items()}


class Desk:
  """A newcomer's folder, and the programs of the environment."""

  def __init__(self, programs: pathlib.Path, folder: pathlib.Path):
    self.programs, self.folder = programs, folder

  def __call__(self, program: str, *arguments: str, status: int = 0) -> str:
    """What a program prints, with single spaces; its status must be as expected."""
    names = ('PATH', 'HOME', 'JAX_PLATFORMS')
    env = {name: os.environ[name] for name in names if name in os.environ}
    env |= {'PYTHONPATH': '.', 'XDG_CACHE_HOME': str(self.folder / 'cache')}
    done = wheels.run(self.programs / program, *arguments, cwd=self.folder, env=env)
    log = self.folder / 'said.txt'
    with log.open('a') as file:
      file.write(f'\n$ {program} {" ".join(arguments)}\n{done.stdout}{done.stderr}')
    assert done.returncode == status, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    return ' '.join((done.stdout + done.stderr).split())


@pytest.fixture(scope='module')
def desk(installed, tmp_path_factory) -> Desk:
  folder = tmp_path_factory.mktemp('desk')
  draw_pictures(folder / 'pictures')
  (folder / 'own_net.py').write_text(NET)
  (folder / 'own_decoder.py').write_text(DECODER)
  save_file(make_resnet18(2), folder / 'resnet18.safetensors')
  return Desk(installed, folder)


@pytest.fixture(scope='module')
def quickstart(desk) -> str:
  return desk('gpz-sweep', *QUICKSTART)


@pytest.fixture(scope='module')
def small(desk) -> str:
  sizes = ('--train_limit=64', '--target_epochs=1', '--decoder_epochs=1')
  return desk(
    'gpz-sweep', *QUICKSTART, *sizes, '--splits=conv_1', '--workdir=runs/small'
  )


def test_the_package_is_that_of_the_wheel(desk):
  place = desk('python', '-c', 'import gpz_jax; print(gpz_jax.__file__)')
  assert desk.programs.parent in pathlib.Path(place).parents


def test_the_preset_answers(quickstart):
  assert 'golden zone' in quickstart
  # Which of the two is a matter of the processor's rounding.
  said = r'Cut at \w+ with alpha 0|No cut is private enough: .* is conv_\d with alpha 0'
  assert re.search(said, quickstart)
  assert 'report: runs/quickstart/report/index.html' in quickstart
  assert 'WARNING' not in quickstart


def test_limits_that_nothing_meets_are_named(desk, quickstart):
  del quickstart
  run = '--workdir=runs/quickstart'
  # Its cuts behind conv_3 keep the whole model on the device.
  assert desk('gpz-recommend', run, status=4).startswith('No cut is private enough:')
  assert 'Cut at conv_' in desk('gpz-recommend', run, '--private_enough=0.005')
  text = desk('gpz-recommend', run, '--max_edge_params=1', status=4)
  assert 'No cut fits' in text
  assert 'max_edge_params=1 ' in text


def test_a_sweep_too_small_to_learn_recommends_nothing(desk, small):
  assert 'within reach of guessing' in small
  for said in (small, desk('gpz-recommend', '--workdir=runs/small', status=4)):
    assert 'No conclusion' in said
    assert 'Cut at' not in said


def test_a_resnet_of_their_own_on_oblong_grey_images(desk):
  text = desk('gpz-sweep', *TINY, '--model=own_net:ResNet', '--workdir=runs/own')
  assert 'grey images of 48x32' in text
  assert 'block_1' in text
  assert 'report: runs/own/report/index.html' in text


def test_weights_of_torchvision(desk):
  given = [
    *TINY,
    *('--channels=3', '--model=resnet18', '--target_weights=resnet18.safetensors'),
    *('--splits=layer1_1', '--decoder_epochs=1', '--test_limit=40'),
  ]
  workdir = '--workdir=runs/weights'
  text = desk('gpz-sweep', *given, workdir, '--expect_accuracy=0.95', status=2)
  assert '--expect_accuracy=0.95' in text
  text = desk('gpz-sweep', *given, workdir)
  assert 'stem=imagenet' in text
  assert 'within reach of guessing' in text
  assert 'No conclusion' in text


def test_a_decoder_and_a_loss_of_their_own(desk):
  attack = 'inversion:decoder=own_decoder:make:loss=own_decoder:robust'
  text = desk(
    'gpz-sweep',
    *TINY,
    *('--model=cnn', '--model_options=width=0.25', '--splits=conv_1,conv_4'),
    f'--attack=inversion,{attack}',
    '--workdir=runs/decoder',
  )
  assert 'own_decoder:make' in text
  assert 'report: runs/decoder/report/index.html' in text


def test_several_workdirs_and_their_pages(desk, quickstart, small):
  del quickstart, small
  both = ('runs/quickstart', 'runs/small')
  text = desk('gpz-recommend', f'--workdir={",".join(both)}', status=4)
  first, second = text.split('runs/small:')
  assert first.startswith('runs/quickstart: No cut is private enough')
  assert second.startswith(' No conclusion')
  for workdir in both:
    page = desk.folder / workdir / 'report' / 'index.html'
    page.unlink()
    assert workdir in desk('gpz-report', f'--workdir={workdir}')
    assert page.is_file()
