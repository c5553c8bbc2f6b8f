"""The suite `inversion` times what model inversion repeats: generator and target.

A step is the gradient of the Poincare loss with respect to the latents of all
candidates, as the attacks compute it. A lane is a class, whose candidates are a batch.
The peer takes the candidates of all classes as one batch.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import jaxpr_costs, models
from gpz_jax.attacks.model import losses, views
from gpz_jax.attacks.model.sight import Sight
from gpz_jax.commands.benchmarks import records
from gpz_jax.commands.benchmarks.options import Options, make_record
from gpz_jax.commands.benchmarks.records import Record
from gpz_jax.generators import DCGAN, StyleGAN2
from gpz_jax.models import choices
from gpz_jax.training.engine import AUTO, Engine

SUITE = 'inversion'


@dataclasses.dataclass(frozen=True)
class Case:
  """A generator and a ResNet-18 that is given its images.

  Attributes:
    generator: The generator.
    side: Side of what the target takes.
    width: Multiple of the target's channels.
    stem: The target's stem.
    num_classes: K.
  """

  generator: DCGAN | StyleGAN2
  side: int
  width: float = 0.25
  stem: str = 'small'
  num_classes: int = 50

  @property
  def name(self) -> str:
    """The generator and the sides of its images and of the target's."""
    made = self.generator.image_shape[0]
    return f'{type(self.generator).__name__.lower()} {made}, resnet18 {self.side}'

  def make_sight(self, engine: Engine) -> Sight:
    """How the target looks at images."""
    model = models.make(
      'resnet18',
      num_classes=self.num_classes,
      width=self.width,
      stem=self.stem,
      normalization='half',
    )
    return Sight.of(model, engine, (self.side, self.side, 3))

  def request(self) -> dict[str, Any]:
    """What the peer is asked for, see `torch_inversion`."""
    if isinstance(self.generator, DCGAN):
      fields = {name: getattr(self.generator, name) for name in ('size', 'width')}
      generator = {'kind': 'dcgan', 'latent': self.generator.latent, **fields}
    else:
      fields = {'widths': self.generator.widths, 'w_dim': self.generator.w_dim}
      generator = {'kind': 'stylegan2', **fields}
    target = {
      'side': self.side,
      'width': self.width,
      'stem': self.stem,
      'num_classes': self.num_classes,
      'crop': self.generator.centre_crop,
    }
    return {'generator': generator, 'target': target}


# By the side of the generator's images: nets as small as the presets', GMI's generator,
# and StyleGAN2 whole, with the crop of faces at 1024 pixels.
_SMALL: dict[str, Any] = {
  'z_dim': 128,
  'w_dim': 128,
  'mapping_layers': 2,
  'channel_base': 2048,
  'channel_max': 128,
}
_LARGE = {'side': 224, 'width': 1.0, 'stem': 'imagenet', 'num_classes': 530}
CASES = {
  32: Case(StyleGAN2(32, **_SMALL), 32),
  64: Case(DCGAN(64), 64),
  256: Case(StyleGAN2(256), **_LARGE),
  1024: Case(StyleGAN2(1024, crop=views.FACES), **_LARGE),
}


def measure(options: Options) -> Iterator[Record]:
  """Times the cases of `options.sizes`, and counts the operations of the others."""
  for size, case in CASES.items():
    if options.case not in case.name:
      continue
    work = count_operations(case)
    if size not in options.sizes:
      yield _counted_record(options, case, work)
      continue
    for lanes in options.lanes:
      for engine in options.engines:
        yield _timed_record(options, case, lanes, engine, work)


def pull(case: Case, engine: Engine):
  """Makes the function of (shared, latents [M, n]) that gives the gradient [M, n].

  Args:
    case: The nets.
    engine: How they are computed; it must be resolved.
  """
  sight, generator = case.make_sight(engine), case.generator
  if isinstance(generator, StyleGAN2):
    generator = dataclasses.replace(generator, precision=engine.precision)

  def render(prior, latents):
    images = generator.images(prior, latents)
    shape, crop = sight.image_shape, generator.centre_crop
    return views.prepare(images, shape, crop=crop, antialias=False)

  def gradient(shared, latents):
    return sight.pull(
      shared['target'],
      lambda latents: render(shared['prior'], latents),
      latents,
      jnp.int32(0),
      jax.random.key(0),
      loss=losses.poincare,
    ).gradient

  return gradient


def count_operations(case: Case) -> int:
  """The operations of a step of one candidate, counted without computing anything."""
  # Products with gathered windows multiply no zeros of a stride, and the count does not
  # depend on what was fastest.
  engine = dataclasses.replace(AUTO.resolve(), conv='gemm')
  shared = _shapes(case)
  latents = jax.ShapeDtypeStruct((1, *case.generator.latent_shape), jnp.float32)

  def gradient(params, latents):
    shared = jax.tree.unflatten(structure, params['params'])
    with choices.using(engine.conv):
      return [pull(case, engine)(shared, latents)]

  leaves, structure = jax.tree.flatten(shared)
  found = jaxpr_costs.used_params_and_flops(gradient, {'params': leaves}, latents)
  return found[0][1]


def _shapes(case: Case) -> dict[str, Any]:
  """The shapes of the variables of generator and target."""
  key, image = jax.random.key(0), jnp.zeros((1, case.side, case.side, 3))
  model = case.make_sight(AUTO.resolve()).model
  return {
    'prior': jax.eval_shape(case.generator.init, key),
    'target': jax.eval_shape(model.init, key, image),
  }


def _draw(shapes: Any) -> Any:
  """Arbitrary variables, which spare compiling what would initialise the nets."""
  rng = np.random.default_rng(0)

  def draw(leaf):
    if leaf.ndim < 2:  # biases, norms: positive, so that variances are
      return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), jnp.float32)
    fan_in = math.prod(leaf.shape[:-1])
    return jnp.asarray(rng.normal(size=leaf.shape) / math.sqrt(fan_in), jnp.float32)

  return jax.tree.map(draw, shapes)


def _counted_record(options: Options, case: Case, work: int) -> Record:
  engine = options.engines[0]
  return Record(
    suite=SUITE,
    case=case.name,
    lanes=1,
    batch=1,
    strategy=engine.strategy,
    conv=engine.conv_name,
    precision=engine.precision,
    device=records.device_name(),
    note=f'{work / 1e9:.2f} GFLOP an image, counted only',
  )


def _timed_record(
  options: Options, case: Case, lanes: int, engine: Engine, work: int
) -> Record:
  count = options.candidates
  run, program = search_steps(options, case, lanes, engine)
  request = {**case.request(), 'batch': lanes * count, 'precision': engine.precision}
  way = ''

  def peer() -> float:
    nonlocal way
    assert options.peer is not None
    found = options.peer.seconds(**request, steps=options.steps)
    way = found['way']
    return found['step'] * options.steps

  timing = records.alternate(
    run, peer if options.peer else None, options.repeats, options.clock
  )
  speed = lanes * count * options.steps / timing.seconds
  note = f'{work / 1e9:.2f} GFLOP an image, {speed:.1f} images/s'
  if timing.peer_seconds is not None:
    theirs = lanes * count * options.steps / timing.peer_seconds
    note += f', peer {theirs:.1f} ({way})'
  record = make_record(
    options,
    engine,
    timing,
    program,
    work * lanes * count,
    SUITE,
    case.name,
    lanes,
    engine.conv_name,
  )
  return dataclasses.replace(record, batch=count, note=note)


def search_steps(options: Options, case: Case, lanes: int, engine: Engine):
  """Makes a function that takes `options.steps` steps, and its program.

  Args:
    options: What is measured.
    case: The nets.
    lanes: Number of classes that are searched for at a time.
    engine: How the classes run.
  """
  gradient = pull(case, engine)

  def search(latents, shared, steps):
    def step(_, latents):
      return latents - 1e-9 * gradient(shared, latents)

    return lax.fori_loop(0, steps, step, latents)

  shared = _draw(_shapes(case))
  shape = (lanes, options.candidates, *case.generator.latent_shape)
  latents = jax.random.normal(jax.random.key(1), shape)
  function = jax.jit(engine.traced(engine.over_lanes(search)))
  steps = jnp.int32(options.steps)
  program = records.compile_program(function, latents, shared, steps)

  def run():
    jax.block_until_ready(program.run(latents, shared, steps))

  return run, program
