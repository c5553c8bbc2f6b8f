"""The three suites: one convolution, one decoder step, one sweep's worth of steps."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import records
from experiments.benchmarks.peer import Peer
from experiments.benchmarks.records import Record
from gpz_jax import models, partition
from gpz_jax.attacks import capture, decoders, inversion
from gpz_jax.attacks.inversion import AttackLane
from gpz_jax.models import choices
from gpz_jax.models.choices import Site
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import Trainer
from gpz_jax.training.recipe import DECODER
from gpz_jax.types import Lane, Mean

IMAGE = (64, 64, 3)
# What VGG19 and IR-152 send at 64x64 in the splits the paper attacks; ViT's tokens.
ACTIVATIONS = ((32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 512), (257, 128))
# A published sweep: epochs, the attacker's images, test images.
EPOCHS, AUX, TEST = 100, 10_000, 10_000


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure."""

  engines: tuple[Engine, ...]
  lanes: tuple[int, ...]
  batch: int
  steps: int  # of one timed run
  repeats: int
  peer: Peer | None
  models: tuple[str, ...] = ('vgg19', 'ir152')
  case: str = ''  # only cases that contain this


def sites(activation: tuple[int, ...]) -> list[Site]:
  """The convolutions of an activation's decoder."""
  decoder = decoders.make(activation, IMAGE)
  example = jax.ShapeDtypeStruct((1, *activation), jnp.float32)
  with choices.recording() as met:
    jax.eval_shape(decoder.init, jax.random.key(0), example)
  return list(met)


def flops(site: Site, batch: int) -> int:
  """Operations of a forward pass; the two gradients take as much each."""
  taps = math.prod(site.kernel)
  return 2 * batch * math.prod(site.size) * taps * site.c_in * site.c_out


def conv(options: Options) -> Iterator[Record]:
  """Every convolution of the decoders, forward and backward, in every way."""
  known: list[Site] = []
  for site in (site for shape in ACTIVATIONS for site in sites(shape)):
    if site not in known and options.case in site.text:
      known.append(site)
  for site, lanes in ((s, n) for s in known for n in options.lanes):
    for engine in options.engines:
      ways = choices.KNOWN[site.kind] if engine.conv == 'auto' else (str(engine.conv),)
      for way in ways:
        yield _conv_record(options, site, lanes, engine, way)


def _conv_record(options: Options, site: Site, lanes: int, engine: Engine, way: str):
  function = tune.make_step(site, way, engine)
  arguments = tune.make_lanes(site, engine, lanes, options.batch)
  program = records.compile_program(function, arguments, options.steps)
  timing = records.alternate(
    lambda: program.run(arguments, options.steps), None, options.repeats
  )
  work = 3 * flops(site, options.batch) * lanes
  return _record(
    'conv', site.text, options, engine, lanes, way, timing, program, options.steps, work
  )


def step(options: Options) -> Iterator[Record]:
  """One decoder step per lane for each activation shape."""
  for activation in ACTIVATIONS:
    case = 'x'.join(map(str, activation))
    if options.case not in case:
      continue
    for lanes in options.lanes:
      for engine in options.engines:
        yield _step_record(options, activation, case, lanes, engine)


def _step_record(options: Options, activation, case, lanes: int, engine: Engine):
  run, program = _decoder_steps(options, activation, lanes, engine)
  peer, is_map = None, len(activation) == 3
  if options.peer is not None and is_map:
    request = {'activation': activation, 'image': IMAGE, 'batch': options.batch}
    ask = functools.partial(options.peer.seconds, **request, steps=options.steps)
    peer = lambda: ask()['step'] * options.steps * lanes  # noqa: E731
  timing = records.alternate(run, peer, options.repeats)
  met = sites(activation)
  work = 3 * sum(flops(site, options.batch) for site in met)
  if is_map:
    work -= flops(met[0], options.batch)  # nobody asks for the activation's gradient
  return _record(
    'step', case, options, engine, lanes, engine.conv, timing, program,
    options.steps, work * lanes,
  )  # fmt: skip


def _decoder_steps(options: Options, activation, lanes: int, engine: Engine):
  """A function that trains `lanes` decoders for `steps` steps, and its program."""
  decoder = decoders.make(activation, IMAGE)
  count = options.batch * options.steps
  recipe = dataclasses.replace(DECODER, epochs=1, batch_size=options.batch)
  objective = inversion.make_objective(decoder, activation, count, engine)
  trainer = Trainer(objective, recipe, engine)
  rng = np.random.default_rng(0)
  stacked = {
    'key': jnp.stack([jax.random.key(i) for i in range(lanes)]),
    'train': jnp.asarray(rng.normal(size=(lanes, count, *activation)), jnp.float32),
    'constants': {},
  }
  images = rng.integers(0, 256, (count, *IMAGE)).astype(np.uint8)
  shared = jax.device_put({'train': images})
  states = trainer.create(stacked['key'])
  order = jnp.arange(count, dtype=jnp.int32).reshape(options.steps, options.batch)
  rest = (
    stacked,
    shared,
    order,
    jnp.ones(order.shape, jnp.float32),
    np.array([0, options.steps], np.int32),
    np.float32(0),
  )
  scale = jnp.copy(states.plateau.scale)
  running = (states.train, Mean(*jnp.zeros((2, lanes))))
  program = records.compile_program(trainer.segment, running, scale, *rest)
  held = [running]  # donated by every run, so that the next takes what the last gave

  def run():
    held[0] = jax.block_until_ready(program.run(held[0], scale, *rest))

  return run, program


def sweep(options: Options) -> Iterator[Record]:
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
  shapes = partition.list_splits(model, IMAGE)
  names = models.PAPER_SPLITS[name]
  steps = EPOCHS * math.ceil(AUX / options.batch)
  ours = {'edge': _capture_seconds(options, model, names, engine) * (AUX + TEST)}
  ours['decoders'], spread, compile_seconds, work = 0.0, 0.0, 0.0, 0
  theirs = {'edge': 0.0, 'step': 0.0}
  by_shape: dict[tuple[int, ...], records.Timing] = {}
  for split in names:
    shape = shapes[split].shape
    if shape not in by_shape:
      run, program = _decoder_steps(options, shape, 1, engine)
      by_shape[shape] = records.alternate(run, None, options.repeats)
      compile_seconds += program.compile_seconds
    ours['decoders'] += by_shape[shape].seconds / options.steps * steps
    spread = max(spread, by_shape[shape].spread)
    met = sites(shape)
    work += steps * (
      3 * sum(flops(site, options.batch) for site in met) - flops(met[0], options.batch)
    )
    if options.peer is not None:
      found = _peer_step(options, name, split, shape)
      theirs = {part: theirs[part] + steps * found[part] for part in theirs}
  total = ours['edge'] + ours['decoders']
  peer = options.peer is not None
  share = f'edge {ours["edge"]:.0f} s'
  if peer:
    share += f', peer edge {theirs["edge"]:.0f} s'
  common = {
    'suite': 'sweep', 'lanes': len(names), 'batch': options.batch,
    'strategy': engine.strategy, 'conv': str(engine.conv),
    'precision': engine.precision, 'device': records.device_name(), 'spread': spread,
    'compile_seconds': compile_seconds, 'peak_bytes': None, 'repeats': options.repeats,
  }  # fmt: skip
  for case, mine, peers, note in (
    (f'{name}, whole', total, theirs['step'], share),
    (f'{name}, decoders', ours['decoders'], theirs['step'] - theirs['edge'], ''),
  ):
    yield Record(
      case=case,
      seconds=mine,
      peer_seconds=peers if peer else None,
      speedup=peers / mine if peer else None,
      gflops_per_second=work / mine / 1e9 if case.endswith('decoders') else None,
      note=note,
      **common,
    )


def _capture_seconds(
  options: Options, model: nn.Module, names, engine: Engine
) -> float:
  """Seconds an image takes for the activations of all splits together."""
  count = capture.CHUNK
  images = np.random.default_rng(0).integers(0, 256, (count, *IMAGE)).astype(np.uint8)
  variables = partition.arbitrary_variables(model, IMAGE)
  targets = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], variables)
  lanes: Sequence[AttackLane] = [
    AttackLane(0, Lane('bench', 'bench', 0.0, 0), split) for split in names
  ]
  by_shape = inversion.cohorts(partition.list_splits(model, IMAGE), names)

  def run() -> Any:
    return [
      inversion.capture(
        model,
        targets,
        [lane for lane in lanes if lane.split in splits],
        images,
        engine=engine,
      )
      for splits in by_shape.values()
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
    options.peer.seconds(**request, steps=1 if not i else options.steps)
    for i in range(1 + options.repeats)
  ][1:]
  return {part: float(np.median([f[part] for f in found])) for part in ('step', 'edge')}


def _record(
  suite: str,
  case: str,
  options: Options,
  engine: Engine,
  lanes: int,
  way: Any,
  timing: records.Timing,
  program: records.Program,
  steps: int,
  work: int,
) -> Record:
  """A record of one step of all lanes out of a timing of `steps`."""
  seconds = timing.seconds / steps
  peer = None if timing.peer_seconds is None else timing.peer_seconds / steps
  return Record(
    suite=suite,
    case=case,
    lanes=lanes,
    batch=options.batch,
    strategy=engine.strategy,
    conv=str(way),
    precision=engine.precision,
    device=records.device_name(),
    seconds=seconds,
    spread=timing.spread,
    peer_seconds=peer,
    speedup=None if peer is None else peer / seconds,
    gflops_per_second=work / seconds / 1e9,
    compile_seconds=program.compile_seconds,
    peak_bytes=program.peak_bytes,
    repeats=timing.repeats,
  )


SUITES: dict[str, Callable[[Options], Iterator[Record]]] = {
  'conv': conv,
  'step': step,
  'sweep': sweep,
}
