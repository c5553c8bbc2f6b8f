"""The suite `conv` times single convolutions."""

import itertools
import math
from collections.abc import Iterator

from gpz_jax.commands.benchmarks import records, work
from gpz_jax.commands.benchmarks.options import ACTIVATIONS, Options, make_record
from gpz_jax.commands.benchmarks.records import Record
from gpz_jax.models.choices import Site
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine


def measure(options: Options) -> Iterator[Record]:
  """Times every convolution of the decoders, forward and backward, in every way."""
  known: list[Site] = []
  for site in (site for shape in ACTIVATIONS for site in work.sites(shape)):
    if site not in known and options.case in site.text:
      known.append(site)
  fastest: dict[tuple[Site, int, Engine], float] = {}
  cases = list(itertools.product(known, options.lanes, options.engines))
  for ways in (
    tune.likely_ways,
    tune.unlikely_ways,
  ):  # whoever stops early has the likely ones
    for site, lanes, engine in cases:
      for way in ways(site.kind):
        if engine.conv not in ('auto', way):
          continue
        best = fastest.get((site, lanes, engine), math.inf)
        record = _conv_record(options, site, lanes, engine, way, tune.HOPELESS * best)
        fastest[site, lanes, engine] = min(best, record.seconds or best)
        yield record


def _conv_record(
  options: Options, site: Site, lanes: int, engine: Engine, way: str, hopeless: float
) -> Record:
  """Times one way; a step that takes over `hopeless` seconds runs only once."""
  function = tune.make_step(site, way, engine)
  arguments = tune.make_lanes(site, engine, lanes, options.batch)
  program = records.compile_program(function, arguments, options.steps)
  once = records.alternate(lambda: program.run(arguments, 1), None, 1).seconds
  if once > hopeless:
    timing = records.Timing(options.steps * once, 0.0, None, 1)
  else:
    timing = records.alternate(
      lambda: program.run(arguments, options.steps), None, options.repeats
    )
  operations = 3 * work.flops(site, options.batch) * lanes
  return make_record(
    options, engine, timing, program, operations, 'conv', site.text, lanes, way
  )
