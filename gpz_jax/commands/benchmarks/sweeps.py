"""The suite `sweep` times the steps of a published sweep, the edge included."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import models, partition
from gpz_jax.attacks.activation import interception
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.commands.benchmarks import records, steps, work
from gpz_jax.commands.benchmarks.options import IMAGE, Options
from gpz_jax.commands.benchmarks.records import Record
from gpz_jax.training.engine import Engine
from gpz_jax.types import Lane, Treatment

# What a published sweep has: epochs, images of the attacker, test images.
EPOCHS, AUX, TEST = 100, 10_000, 10_000
DEFAULT = ('vgg19', 'ir152')


def measure(options: Options) -> Iterator[Record]:
  """Times all splits of a paper's model, edge included.

  Ours runs the edge once, and the peer runs it in every step. Both are timed for a few
  steps, and the seconds are multiplied to those of the published sweep at one alpha
  (every split, 100 epochs of 10,000 images). There are two records for each model: the
  whole sweep, and the decoders alone.
  """
  for name in options.models or DEFAULT:
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
  edge = _intercept_seconds(options, model, shapes, engine) * (AUX + TEST)
  timed = {
    shape: _timed_decoder(options, shape, engine)
    for shape in dict.fromkeys(shapes.values())
  }
  timings = [timed[shape][0] for shape in shapes.values()]
  training = count * sum(timing.seconds for timing in timings) / options.steps
  operations = count * sum(
    work.step_flops(shape, options.batch) for shape in shapes.values()
  )
  peer = _peer_seconds(options, name, shapes, count, engine.precision)
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
    peer_seconds=peer.whole,
    gflops_per_second=None,
    compile_seconds=sum(program.compile_seconds for _, program in timed.values()),
    peak_bytes=max(
      (program.peak_bytes for _, program in timed.values() if program.peak_bytes),
      default=None,
    ),
    repeats=options.repeats,
    note=f'edge {edge:.0f} s{peer.note}',
  )
  yield whole
  yield dataclasses.replace(
    whole,
    case=f'{name}, decoders',
    seconds=training,
    peer_seconds=peer.decoders,
    gflops_per_second=operations / training / 1e9,
    roofline=records.roofline(operations / training, engine.precision),
    note='',
  )


class _PeerSeconds(NamedTuple):
  """Seconds of the peer's published sweep; None without a peer."""

  whole: float | None = None
  decoders: float | None = None
  note: str = ''


def _peer_seconds(
  options: Options, name: str, shapes: dict[str, Any], count: int, precision: str
) -> _PeerSeconds:
  """Times the peer at every split and multiplies to `count` steps."""
  if options.peer is None:
    return _PeerSeconds()
  found = [_peer_step(options, name, *item, precision) for item in shapes.items()]
  whole = count * sum(seconds['step'] for seconds in found)
  edge = count * sum(seconds['edge'] for seconds in found)
  return _PeerSeconds(whole, whole - edge, f', peer edge {edge:.0f} s')


def _timed_decoder(options: Options, shape: tuple[int, ...], engine: Engine):
  run, program = steps.decoder_steps(options, shape, 1, engine)
  return records.alternate(run, None, options.repeats), program


def _intercept_seconds(
  options: Options, model: nn.Module, shapes: dict[str, Any], engine: Engine
) -> float:
  """Times the activations of all splits together; returns the seconds per image."""
  count = interception.CHUNK
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
      interception.intercept(model, targets, cohort, images, engine=engine)
      for cohort in cohorts
    ]

  return records.alternate(run, None, 1).seconds / count


def _peer_step(
  options: Options, name: str, split: str, shape: Any, precision: str
) -> dict[str, float]:
  """Returns the median seconds of the peer's step at a split, and of its edge."""
  assert options.peer is not None
  request = {
    'activation': shape,
    'image': IMAGE,
    'batch': options.batch,
    'precision': precision,
    'model': name,
    'split': int(split.rpartition('_')[2]),
  }
  found = [
    options.peer.seconds(**request, steps=options.steps) for _ in range(options.repeats)
  ]
  return {part: float(np.median([f[part] for f in found])) for part in ('step', 'edge')}
