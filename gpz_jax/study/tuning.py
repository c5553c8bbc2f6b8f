"""The engine of a study, tuned to the machine where that is asked for."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gpz_jax import atomic
from gpz_jax.models.choices import Site, Table
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.progress import Progress
from gpz_jax.study.workdir import Workdir
from gpz_jax.training import tune
from gpz_jax.training.engine import Engine


class Workload(NamedTuple):
  """Convolutions that are trained side by side."""

  sites: list[Site]
  num_lanes: int
  batch_size: int


def make_engine(
  config: StudyConfig,
  workdir: Workdir,
  progress: Progress,
  list_workloads: Callable[[], Iterable[Workload]],
) -> Engine:
  """How the lanes of a study are computed.

  With --tune the convolutions are measured, unless they were before. What was chosen is
  in tuned.json, and a study that is resumed keeps to it.

  Args:
    config: What was asked for.
    workdir: Where the choices are kept.
    progress: Told what was measured.
    list_workloads: What the study trains; called only where it has to be measured.

  Raises:
    InputError: tuned.json is damaged.
  """
  engine = config.make_engine()
  if not config.tune:
    return engine
  table = workdir.read_tuned()
  if table is None:
    measured: dict[str, str] = {}
    for workload in list_workloads():
      measured |= dict(_measure(workload, engine, progress))
    table = tuple(measured.items())
    atomic.write_json(workdir.tuned, dict(table))
  return dataclasses.replace(engine, conv=table)


def _measure(workload: Workload, engine: Engine, progress: Progress) -> Table:
  def tell(site: Site, seconds: dict[str, float]) -> None:
    found = ', '.join(
      f'{way} {1e3 * took:.1f} ms'
      for way, took in sorted(seconds.items(), key=lambda item: item[1])
    )
    progress.say(f'tuning {site.text}: {found}')

  return tune.tune(
    workload.sites,
    engine,
    lanes=workload.num_lanes,
    batch=workload.batch_size,
    cache=tune.default_cache(),
    on_progress=tell,
  )
