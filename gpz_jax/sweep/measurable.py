"""What the theory of a sweep can be measured on, checked before anything is trained."""

from collections.abc import Iterator

import numpy as np

from gpz_jax import checkpoints, defences, results, theory
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep.config import SweepConfig
from gpz_jax.types import InputError, Task


def check_sent(config: SweepConfig, what: str) -> None:
  """Refuses to measure activations that are not what is sent.

  Args:
    config: The sweep.
    what: What would measure them, such as --theory.

  Raises:
    InputError: A defence changes what is sent.
  """
  changing = [text for text in config.defence if defences.parse(text).sends]
  if changing:
    raise InputError(
      f"{what} measures activations as the model computes them, and '{changing[0]}'"
      ' changes what is sent; leave one out'
    )


def count_examples(config: SweepConfig, task: Task) -> int:
  """On how many training images the theory is measured: on the first ones."""
  return min(config.theory_limit, len(task.train))


def check_examples(config: SweepConfig, task: Task) -> None:
  """Refuses training images that are too few for the estimates of information."""
  labels: np.ndarray = task.train.label[: config.theory_limit]
  theory.check_examples(len(labels), labels=labels)


def check_epochs(config: SweepConfig, task: Task) -> None:
  """Refuses to follow the rest of a training on another number of images.

  Raises:
    InputError: The epochs so far have rows of another number. What was measured of them
      cannot be measured again, because their states are gone.
  """
  workdir, count = Workdir(config.workdir), count_examples(config, task)
  if not config.theory_every or checkpoints.has_step(workdir.targets):
    return
  for row in workdir.read_rows(results.THEORY):
    if row['epoch'] and row['examples'] != count:
      raise InputError(
        f'--theory_limit={config.theory_limit} is {count} images, and the epochs so far'
        f' in {workdir.lines(results.THEORY)} were measured on {row["examples"]}; give'
        f' --theory_limit={row["examples"]}, or name another workdir'
      )


def describe_epochs(config: SweepConfig) -> Iterator[str]:
  """A line where the training that --theory_every is to follow is over, or is none."""
  workdir = Workdir(config.workdir)
  if config.theory_every is None or any(
    row['epoch'] for row in workdir.read_rows(results.THEORY)
  ):
    return
  if config.is_imported or checkpoints.has_step(workdir.targets):
    yield (
      f'WARNING: --theory_every={config.theory_every} measures nothing, because the'
      ' targets are trained already; give it where they are trained, in a new --workdir'
    )
