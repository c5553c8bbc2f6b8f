"""The suite `target` times training steps of targets, as studies train them.

A step is one of the recipe `short` at 32 pixels without its augmentation. The peer
trains the lanes one after another.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import classification, jaxpr_costs, models
from gpz_jax import targets as targets_lib
from gpz_jax.commands.benchmarks import records, steps
from gpz_jax.commands.benchmarks.options import Options, make_record
from gpz_jax.commands.benchmarks.records import Record
from gpz_jax.models import calls, choices
from gpz_jax.study.estimates import TRAINING
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import Trainer
from gpz_jax.training.recipe import TARGET_RECIPES
from gpz_jax.types import Lane, Treatment

SUITE = 'target'
SIDE, NUM_CLASSES = 32, 10
IMAGE = (SIDE, SIDE, 3)
# Nets that the peer has, with what makes ours fit small images.
MODELS = {
  'vgg11': {},
  'vgg19': {},
  'ir50': {},
  'ir152': {},
  'resnet18': {'stem': 'small'},
  'resnet34': {'stem': 'small'},
  'densenet121': {'stem': 'small'},
  'efficientnet_b0': {'stem': 'small'},
}
DEFAULT = ('vgg11', 'ir50', 'resnet18')


def measure(options: Options) -> Iterator[Record]:
  """Times one training step per lane for each net and width."""
  for name in options.models or DEFAULT:
    for width in options.widths:
      case = f'{name} x{width:g}'
      if options.case not in case:
        continue
      for lanes in options.lanes:
        for engine in options.engines:
          yield _record(options, name, width, case, lanes, engine)


def make_model(name: str, width: float):
  """Makes a net of `MODELS`."""
  return models.make(name, num_classes=NUM_CLASSES, width=width, **MODELS[name])


def target_steps(options: Options, name: str, width: float, lanes: int, engine: Engine):
  """Makes a function that trains targets for `options.steps` steps, and its program.

  Args:
    options: What is measured.
    name: One of `MODELS`.
    width: Multiple of the channels.
    lanes: Number of targets to train, each with another seed.
    engine: How the lanes run.
  """
  recipe = dataclasses.replace(
    TARGET_RECIPES['short'], epochs=1, batch_size=options.batch, flip=False, shift=0
  )
  objective = classification.make_objective(
    make_model(name, width), IMAGE, NUM_CLASSES, recipe, num_val=1, engine=engine
  )
  trained = [Lane(f'{i}', f'{i}', Treatment(), i) for i in range(lanes)]
  count, rng = options.batch * options.steps, np.random.default_rng(0)
  images = rng.integers(0, 256, (count, *IMAGE)).astype(np.uint8)
  labels = rng.integers(0, NUM_CLASSES, count).astype(np.int32)
  return steps.training_steps(
    options,
    Trainer(objective, recipe, engine),
    targets_lib.stack_lanes(trained),
    {'train': (images, labels)},
  )


def count_operations(name: str, width: float) -> int:
  """The operations of a forward pass for one image, counted without computing it."""
  model = make_model(name, width)
  image = jax.ShapeDtypeStruct((1, *IMAGE), jnp.float32)
  variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), image)
  with choices.using('canonical'):  # it multiplies no zeros of a stride
    return jaxpr_costs.count_flops(
      lambda v, x: model.apply(v, x, train=False), variables, image
    )


def _record(
  options: Options, name: str, width: float, case: str, lanes: int, engine: Engine
) -> Record:
  run, program = target_steps(options, name, width, lanes, engine)
  request = {
    'target_net': name,
    'width': width,
    'side': SIDE,
    'num_classes': NUM_CLASSES,
    'batch': options.batch,
    'precision': engine.precision,
  }
  way = ''

  def peer() -> float:
    nonlocal way
    assert options.peer is not None
    found = options.peer.seconds(**request, steps=options.steps)
    way = f'peer {found["way"]}'
    return found['step'] * options.steps * lanes

  timing = records.alternate(
    run, peer if options.peer else None, options.repeats, options.clock
  )
  work = TRAINING * count_operations(name, width) * options.batch * lanes
  record = make_record(
    options, engine, timing, program, work, SUITE, case, lanes, engine.conv_name
  )
  return dataclasses.replace(record, note=way)
