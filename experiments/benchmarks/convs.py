"""The suite conv: single convolutions."""

from collections.abc import Iterator

from experiments.benchmarks import records, work
from experiments.benchmarks.options import ACTIVATIONS, Options, make_record
from experiments.benchmarks.records import Record
from gpz_jax.models import choices
from gpz_jax.models.choices import Site
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine


def measure(options: Options) -> Iterator[Record]:
  """Every convolution of the decoders, forward and backward, in every way."""
  known: list[Site] = []
  for site in (site for shape in ACTIVATIONS for site in work.sites(shape)):
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
  operations = 3 * work.flops(site, options.batch) * lanes
  return make_record(
    options, engine, timing, program, operations, 'conv', site.text, lanes, way
  )
