"""The course of an attack on a model, step by step, as a file that is only looked at.

A file is a JSON object: the name of a curve -> a number for each step, the mean over
classes. The page shows `loss`, and `gradient_mean` and `gradient_std`, of |dL/dw|.
"""

import math
import pathlib

import numpy as np

from gpz_jax import atomic, results
from gpz_jax.types import InputError


def write(path: pathlib.Path, curves: dict[str, np.ndarray]) -> None:
  """Writes curves, and makes their folder where it is not there.

  Args:
    path: The file, see `Workdir.history`.
    curves: name -> [steps]. What is not finite is written as null.
  """
  path.parent.mkdir(exist_ok=True)
  lists = {
    name: [float(value) if np.isfinite(value) else None for value in values]
    for name, values in curves.items()
  }
  atomic.write_json(path, lists)


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The curves in a file, name -> [steps]; empty where there is no file.

  Raises:
    InputError: The file cannot be read or holds something else.
  """
  found = results.read_object(path)
  for name, values in found.items():
    if not isinstance(values, list) or not all(map(_is_step, values)):
      raise InputError(
        f'{str(path)!r} must hold a list of numbers for {name!r}; remove the file'
      )
  return {
    name: np.array([math.nan if value is None else value for value in values], float)
    for name, values in found.items()
  }


def _is_step(value: object) -> bool:
  return value is None or type(value) in (int, float)
