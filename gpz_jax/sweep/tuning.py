"""The engine of a sweep, tuned to the machine where that is asked for."""

import dataclasses
import pathlib

from gpz_jax import atomic
from gpz_jax.attacks.activation import inputs
from gpz_jax.attacks.activation.specs import DecoderAttack
from gpz_jax.models.choices import Site, Table
from gpz_jax.study.progress import Progress
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import workdir as workdir_lib
from gpz_jax.sweep.plan import Plan
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine


def make_engine(plan: Plan, workdir: pathlib.Path, progress: Progress) -> Engine:
  """How the sweep's lanes are computed.

  With --tune the convolutions of the target and of every decoder are measured, unless
  they were before: what was chosen is in tuned.json, and a resumed sweep keeps to it.

  Raises:
    InputError: tuned.json is damaged.
  """
  engine = config_lib.engine(plan.config).resolve()
  if not plan.config.tune:
    return engine
  table = workdir_lib.read_tuned(workdir)
  if table is None:
    table = tuple(dict(_measure(plan, engine, progress)).items())
    atomic.write_json(workdir / 'tuned.json', dict(table))
  return dataclasses.replace(engine, conv=table)


def _measure(plan: Plan, engine: Engine, progress: Progress) -> Table:
  config, cache = plan.config, tune.default_cache()

  def on_progress(site: Site, seconds: dict[str, float]) -> None:
    found = ', '.join(
      f'{way} {1e3 * took:.1f} ms'
      for way, took in sorted(seconds.items(), key=lambda item: item[1])
    )
    progress.say(f'tuning {site.text}: {found}')

  def measure(sites: list[Site], lanes: int, batch: int) -> Table:
    return tune.tune(
      sites, engine, lanes=lanes, batch=batch, cache=cache, on_progress=on_progress
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
