"""The folder of a sweep: which run it belongs to, and files written whole."""

import json
import os
import pathlib
from typing import Any

import numpy as np

from gpz_jax import results
from gpz_jax.sweep.config import NOT_IDENTITY, SweepConfig, to_flags, to_json
from gpz_jax.types import InputError


def check(config: SweepConfig) -> list[results.Row]:
  """The rows already finished in the workdir; touches nothing.

  Raises:
    InputError: the workdir belongs to another config, naming the first field that
      differs, or is not a folder.
  """
  workdir = pathlib.Path(config.workdir)
  if workdir.exists() and not workdir.is_dir():
    raise InputError(f'--workdir={workdir} is not a folder; name another')
  try:
    theirs = json.loads((workdir / 'config.json').read_text())
  except FileNotFoundError:
    if workdir.is_dir() and any(workdir.iterdir()):
      raise InputError(
        f'--workdir={workdir} holds files but no config.json; name an empty folder'
      ) from None
    return []
  except (OSError, ValueError) as error:
    raise InputError(f'--workdir={workdir}: config.json is damaged: {error}') from error
  for name, ours in to_json(config).items():
    if name not in NOT_IDENTITY and ours != theirs.get(name):
      raise InputError(
        f'--workdir={workdir} holds another sweep: {name} is {theirs.get(name)!r} there'
        f' and {ours!r} here; name another workdir, or repeat that sweep with'
        f' --flagfile={workdir / "run.flags"}'
      )
  rows = workdir / 'results.jsonl'
  return results.read_rows(rows) if rows.exists() else []


def create(config: SweepConfig) -> pathlib.Path:
  """Makes the folder and writes what identifies the run; returns the folder."""
  workdir = pathlib.Path(config.workdir)
  try:
    (workdir / 'samples').mkdir(parents=True, exist_ok=True)
    write_text(workdir / 'run.flags', to_flags(config))
    write_json(workdir / 'env.json', results.provenance())
    write_json(workdir / 'config.json', to_json(config))
  except OSError as error:
    raise InputError(
      f'--workdir={workdir} cannot be written: {error.strerror}; name another'
    ) from error
  return workdir


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a file whole or not at all."""
  partial = path.with_name(path.name + '.partial')
  partial.write_text(text)
  os.replace(partial, path)


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes JSON, whole or not at all."""
  write_text(path, json.dumps(value, indent=1) + '\n')


def write_array(path: pathlib.Path, array: np.ndarray) -> None:
  """Writes a .npy file, whole or not at all."""
  partial = path.with_name(path.name + '.partial')
  with open(partial, 'wb') as file:
    np.save(file, array, allow_pickle=False)
  os.replace(partial, path)
