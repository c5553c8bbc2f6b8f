"""The suite sweep: a published sweep's worth of steps, the edge included."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import records, steps, work
from experiments.benchmarks.options import IMAGE, Options
from experiments.benchmarks.records import Record
from gpz_jax import models, partition
from gpz_jax.attacks.activation import capture, inversion
from gpz_jax.attacks.activation.inversion import AttackLane
from gpz_jax.training.engine import Engine
from gpz_jax.types import Lane, Treatment

# A published sweep: epochs, the attacker's images, test images.
EPOCHS, AUX, TEST = 100, 10_000, 10_000


def measure(options: Options) -> Iterator[Record]:
  """A paper model's splits, edge included: ours computes it once, the peer each step.

  Both are timed for a few steps; the seconds are those of the published sweep at one
  alpha (every split, 100 epochs of 10,000 images), by multiplication. Two records a
  model: the whole, and the decoders alone.
  """
  for name in options.models:
    if options.case in name:
      for engine in options.engines:
        yield from _sweep_records(options, name, engine)


def _sweep_records(options: Options, name: str, engine: Engine) -> Iterator[Record]:
  model = models.make(name, num_classes=10)
  shapes = {
    split: shape.shape
    for split, shape in partition.list_splits(model, IMAGE).items()
    if split in models.info(name).paper_splits
  }
  count = EPOCHS * math.ceil(AUX / options.batch)
  edge = _capture_seconds(options, model, shapes, engine) * (AUX + TEST)
  timed = {
    shape: _timed_decoder(options, shape, engine)
    for shape in dict.fromkeys(shapes.values())
  }
  compile_seconds = sum(program.compile_seconds for _, program in timed.values())
  timings = [timed[shape][0] for shape in shapes.values()]
  training = count * sum(timing.seconds for timing in timings) / options.steps
  operations = count * sum(
    work.step_flops(shape, options.batch) for shape in shapes.values()
  )
  note, peer_whole, peer_decoders = f'edge {edge:.0f} s', None, None
  if options.peer is not None:
    found = [_peer_step(options, name, *item) for item in shapes.items()]
    peer_whole = count * sum(seconds['step'] for seconds in found)
    peer_edge = count * sum(seconds['edge'] for seconds in found)
    peer_decoders = peer_whole - peer_edge
    note += f', peer edge {peer_edge:.0f} s'
  whole = Record(
    suite='sweep',
    case=f'{name}, whole',
    lanes=len(shapes),
    batch=options.batch,
    strategy=engine.strategy,
    conv=engine.conv_name,
    precision=engine.precision,
    device=records.device_name(),
    seconds=edge + training,
    spread=max(timing.spread for timing in timings),
    peer_seconds=peer_whole,
    gflops_per_second=None,
    compile_seconds=compile_seconds,
    peak_bytes=max(
      (program.peak_bytes for _, program in timed.values() if program.peak_bytes),
      default=None,
    ),
    repeats=options.repeats,
    note=note,
  )
  yield whole
  yield dataclasses.replace(
    whole,
    case=f'{name}, decoders',
    seconds=training,
    peer_seconds=peer_decoders,
    gflops_per_second=operations / training / 1e9,
    note='',
  )


def _timed_decoder(options: Options, shape: tuple[int, ...], engine: Engine):
  run, program = steps.decoder_steps(options, shape, 1, engine)
  return records.alternate(run, None, options.repeats), program


def _capture_seconds(
  options: Options, model: nn.Module, shapes: dict[str, Any], engine: Engine
) -> float:
  """Seconds an image takes for the activations of all splits together."""
  count = capture.CHUNK
  images = np.random.default_rng(0).integers(0, 256, (count, *IMAGE)).astype(np.uint8)
  variables = partition.arbitrary_variables(model, IMAGE)
  targets = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], variables)
  lanes: Sequence[AttackLane] = [
    AttackLane(0, Lane('bench', 'bench', Treatment(), 0), split) for split in shapes
  ]
  cohorts = [
    [lane for lane in lanes if shapes[lane.split] == shape]
    for shape in dict.fromkeys(shapes.values())
  ]

  def run() -> Any:
    return [
      inversion.capture(model, targets, cohort, images, engine=engine)
      for cohort in cohorts
    ]

  return records.alternate(run, None, 1).seconds / count


def _peer_step(options: Options, name: str, split: str, shape) -> dict[str, float]:
  """Median seconds of the peer's step at a split, and of the edge in it."""
  assert options.peer is not None
  request = {
    'activation': shape,
    'image': IMAGE,
    'batch': options.batch,
    'model': name,
    'split': int(split.rpartition('_')[2]),
  }
  found = [
    options.peer.seconds(**request, steps=options.steps) for _ in range(options.repeats)
  ]
  return {part: float(np.median([f[part] for f in found])) for part in ('step', 'edge')}
