"""Compiling what is trained next while something else runs."""

import concurrent.futures
import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from gpz_jax.attacks.activation import enhance, inputs, inversion
from gpz_jax.attacks.activation.inversion import AttackLane
from gpz_jax.attacks.activation.objective import make_trainer
from gpz_jax.attacks.activation.specs import Attack, DecoderAttack
from gpz_jax.sweep import config as config_lib
from gpz_jax.sweep import memory
from gpz_jax.sweep.plan import Plan, Shape
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import Trainer


class Job(NamedTuple):
  """The training of the decoders of some lanes."""

  shape: Shape  # of the activation
  attack: DecoderAttack
  num_lanes: int


def list_jobs(
  plan: Plan, missing: dict[Shape, dict[AttackLane, list[Attack]]]
) -> Iterator[Job]:
  """What will be trained for the missing rows, in order, if all chunks fit."""
  for shape, wanted in missing.items():
    for lane_chunk in memory.lane_chunks(plan, shape, list(wanted)):
      for attack in plan.attacked:
        count = sum(attack in wanted[lane] for lane in lane_chunk)
        if count and isinstance(attack, DecoderAttack):
          yield Job(shape, attack, count)


class Ahead:
  """Compiles one job ahead, on a thread of its own.

  Args:
    plan: of the sweep.
    engine: how lanes are computed.
    jobs: in the order in which they will be asked for.
  """

  def __init__(self, plan: Plan, engine: Engine, jobs: Iterable[Job]):
    self._plan, self._engine, self._jobs = plan, engine, list(dict.fromkeys(jobs))
    self._pool = concurrent.futures.ThreadPoolExecutor(1)
    self._begun: dict[Job, concurrent.futures.Future[Trainer]] = {}
    self._begin_next()

  def take(self, job: Job) -> Trainer | None:
    """The job's trainer, compiled; then the next job begins to compile.

    None where it has to be compiled as it runs: lanes over several devices, whose
    layout only a run decides, and activations outside the device.
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


def compile_job(plan: Plan, engine: Engine, job: Job) -> Trainer:
  """The compiled trainer of a job."""
  config, task, lanes = plan.config, plan.task, job.num_lanes
  fit_on, choose_on = inversion.subsets(task, config.selection)
  read = inputs.make(job.attack.input)
  dtype = memory.activation_dtype(plan, job.shape)

  def shapes(count: int):
    sent = jax.ShapeDtypeStruct((lanes, count, *job.shape), dtype)
    if job.attack.input != 'activation':
      sent = jax.eval_shape(jax.vmap(read), sent)
    return sent, jax.ShapeDtypeStruct((count, *task.image_shape), np.uint8)

  fit, choose = shapes(len(fit_on)), shapes(len(choose_on))
  return make_trainer(
    job.attack.make(job.shape, task.image_shape),
    fit,
    choose,
    config_lib.decoder_recipe(config),
    constants=jax.eval_shape(
      functools.partial(enhance.constants, job.attack.enhance), fit[0]
    ),
    engine=engine,
    ahead=True,
  )
