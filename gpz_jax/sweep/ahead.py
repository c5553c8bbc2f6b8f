"""Compiling what is trained next while something else runs."""

import concurrent.futures
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gpz_jax.attacks.activation.cohorts import subsets
from gpz_jax.attacks.activation.protocol import Attack, Dimensions
from gpz_jax.sweep import memory
from gpz_jax.sweep.plan import Missing, Plan, Shape
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import Trainer


class Job(NamedTuple):
  """One attack on some lanes."""

  shape: Shape  # of the activation
  attack: Attack
  num_lanes: int


def list_jobs(plan: Plan, missing: Missing) -> Iterator[Job]:
  """What will be run for the missing rows, in order, if all chunks fit the device."""
  for shape, wanted in missing.items():
    for chunk in memory.lane_chunks(plan, shape, list(wanted)):
      for attack in plan.attacked:
        if count := sum(attack in wanted[lane] for lane in chunk):
          yield Job(shape, attack, count)


class Ahead:
  """Compiles one job ahead, on a thread of its own.

  Args:
    plan: What the sweep does.
    engine: How lanes are computed.
    jobs: All jobs, in the order in which they will be asked for.
  """

  def __init__(self, plan: Plan, engine: Engine, jobs: Iterable[Job]):
    self._plan, self._engine, self._jobs = plan, engine, list(dict.fromkeys(jobs))
    self._pool = concurrent.futures.ThreadPoolExecutor(1)
    self._begun: dict[Job, concurrent.futures.Future[Trainer | None]] = {}
    self._begin_next()

  def take(self, job: Job) -> Trainer | None:
    """The job's programs, compiled; then the next job begins to compile.

    None where they have to be compiled as they run: for an attack that compiles nothing
    ahead, for lanes over several devices, whose layout only a run decides, and for
    activations outside the device.
    """
    if not self._may(job):
      return None
    if job not in self._begun:
      self._begin(job)
    trainer = self._begun.pop(job).result()
    self._begin_next()
    return trainer

  def close(self) -> None:
    """Gives up what has not begun."""
    self._pool.shutdown(wait=True, cancel_futures=True)

  def _begin_next(self) -> None:
    while self._jobs:
      job = self._jobs.pop(0)
      if self._may(job):
        return self._begin(job)

  def _begin(self, job: Job) -> None:
    self._begun[job] = self._pool.submit(compile_job, self._plan, self._engine, job)

  def _may(self, job: Job) -> bool:
    place = memory.choose_place(self._plan, job.shape, job.num_lanes)
    return place == 'device' and self._engine.devices == 1


def compile_job(plan: Plan, engine: Engine, job: Job) -> Trainer | None:
  """The compiled programs of a job; None where its attack compiles as it runs."""
  train, held_out = subsets(plan.task, plan.config.selection)
  dimensions = Dimensions(
    job.shape,
    plan.task.image_shape,
    memory.activation_dtype(plan, job.shape),
    job.num_lanes,
    len(train),
    len(held_out),
  )
  return job.attack.compile_ahead(dimensions, plan.config.make_decoder_recipe(), engine)
