"""The engine of a sweep, tuned to the machine where that is asked for."""

import dataclasses
import json
import pathlib

from gpz_jax import atomic
from gpz_jax.attacks import inputs
from gpz_jax.attacks.specs import DecoderAttack
from gpz_jax.models.choices import Site, Table
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep.plan import Plan
from gpz_jax.sweep.progress import Progress
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine


def make_engine(plan: Plan, workdir: pathlib.Path, progress: Progress) -> Engine:
  """How the sweep's lanes are computed.

  With --tune the convolutions of the target and of every decoder are measured, unless
  they were before: what was chosen is in tuned.json, and a resumed sweep keeps to it.
  """
  engine = config_lib.engine(plan.config).resolve()
  if not plan.config.tune:
    return engine
  path = workdir / 'tuned.json'
  if path.exists():
    table = json.loads(path.read_text())
  else:
    table = dict(_measure(plan, engine, progress))
    atomic.write_json(path, table)
  return dataclasses.replace(engine, conv=tuple(table.items()))


def _measure(plan: Plan, engine: Engine, progress: Progress) -> Table:
  config, cache = plan.config, tune.default_cache()

  def report(site: Site, seconds: dict[str, float]) -> None:
    found = ', '.join(
      f'{way} {1e3 * took:.1f} ms'
      for way, took in sorted(seconds.items(), key=lambda item: item[1])
    )
    progress.say(f'tuning {site.text}: {found}')

  def measure(sites: list[Site], lanes: int, batch: int) -> Table:
    return tune.tune(
      sites, engine, lanes=lanes, batch=batch, cache=cache, report=report
    )

  batch = config_lib.target_recipe(config).batch_size
  table = measure(
    tune.find_sites(plan.model, plan.task.image_shape), len(plan.lanes), batch
  )
  batch = config_lib.decoder_recipe(config).batch_size
  for attack, splits in plan.attacked.items():
    if isinstance(attack, DecoderAttack):
      shapes = [plan.shapes[split].shape for split in splits]
      for shape in dict.fromkeys(shapes):
        decoder = attack.make(shape, plan.task.image_shape)
        sites = tune.find_sites(decoder, inputs.shape(attack.input, shape))
        table += measure(sites, len(plan.lanes) * shapes.count(shape), batch)
  return table
