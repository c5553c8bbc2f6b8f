"""The suite `step` times training steps of decoders."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.activation import decoders
from gpz_jax.attacks.activation.objective import make_objective
from gpz_jax.commands.benchmarks import records, work
from gpz_jax.commands.benchmarks.options import ACTIVATIONS, IMAGE, Options, make_record
from gpz_jax.commands.benchmarks.records import Record
from gpz_jax.means import Mean
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import Trainer
from gpz_jax.training.recipe import DECODER
from gpz_jax.training.step import Span


def measure(options: Options) -> Iterator[Record]:
  """Times one decoder step per lane for each activation shape."""
  for activation in ACTIVATIONS:
    case = 'x'.join(map(str, activation))
    if options.case not in case:
      continue
    for lanes in options.lanes:
      for engine in options.engines:
        yield _step_record(options, activation, case, lanes, engine)


def _step_record(options: Options, activation, case, lanes: int, engine: Engine):
  run, program = decoder_steps(options, activation, lanes, engine)
  request = {
    'activation': activation,
    'image': IMAGE,
    'batch': options.batch,
    'precision': engine.precision,
  }

  def peer() -> float:
    assert options.peer is not None
    found = options.peer.seconds(**request, steps=options.steps)
    return found['step'] * options.steps * lanes

  is_map = len(activation) == 3  # the peer has no decoder of tokens
  timing = records.alternate(
    run, peer if options.peer and is_map else None, options.repeats, options.clock
  )
  operations = work.step_flops(activation, options.batch) * lanes
  return make_record(
    options, engine, timing, program, operations, 'step', case, lanes, engine.conv_name
  )


def decoder_steps(options: Options, activation, lanes: int, engine: Engine):
  """Makes a function that trains decoders for `options.steps` steps, and its program.

  Args:
    options: What is measured.
    activation: Shape of the activation, without the batch.
    lanes: Number of decoders to train.
    engine: How the lanes run.
  """
  decoder = decoders.make(activation, IMAGE)
  count = options.batch * options.steps
  recipe = dataclasses.replace(DECODER, epochs=1, batch_size=options.batch)
  objective = make_objective(decoder, activation, count, engine)
  trainer = Trainer(objective, recipe, engine)
  rng = np.random.default_rng(0)
  stacked = {
    'key': jnp.stack([jax.random.key(i) for i in range(lanes)]),
    'train': jnp.asarray(rng.normal(size=(lanes, count, *activation)), jnp.float32),
    'normalization_stats': {},
  }
  images = rng.integers(0, 256, (count, *IMAGE)).astype(np.uint8)
  return training_steps(options, trainer, stacked, {'train': images})


# So many that the program is compiled for a training of hours, as published ones are.
USUAL_EXAMPLES = 10**9


def training_steps(options: Options, trainer: Trainer, stacked: Any, shared: Any):
  """Makes a function that trains for `options.steps` steps, and its program.

  Args:
    options: What is measured.
    trainer: What trains.
    stacked: The arrays of the lanes, see `Trainer.fit`.
    shared: The arrays that all lanes share, with as many examples as are seen.
  """
  lanes, count = len(stacked['key']), options.batch * options.steps
  shared = jax.device_put(shared)
  states = trainer.create(stacked['key'])
  order = jnp.arange(count, dtype=jnp.int32).reshape(options.steps, options.batch)
  rest = (
    stacked,
    shared,
    order,
    jnp.ones(order.shape, jnp.float32),
    Span(*map(np.int32, (0, options.steps, 0, options.steps))),
    np.float32(0),
  )
  scale = jnp.copy(states.plateau.scale)
  running = (states.train, Mean(*jnp.zeros((2, lanes))))
  segment = trainer.make_segment(USUAL_EXAMPLES, running, scale, *rest)
  program = records.compile_program(segment, running, scale, *rest)
  held = [running]  # every run donates its state, and the next takes its result

  def run():
    held[0] = jax.block_until_ready(program.run(held[0], scale, *rest))

  return run, program
