"""Sweeps that are refused: tiny configs, and all that a folder holds."""

import pathlib

import made_up
import numpy as np
import pytest

from gpz_jax import results, sweep
from gpz_jax.commands.sweep import parse_config
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError

BASE = {
  'image_size': 16,
  'model': 'tiny:Branched',
  'splits': 'stem',
  'alphas': '0',
  'target_epochs': 1,
  'target_batch_size': 8,
  'decoder_epochs': 1,
  'decoder_batch_size': 8,
}


def make_config(places, workdir, **changes) -> sweep.SweepConfig:
  """The config of a command line, which may be refused."""
  values = {'dataset': 'folder:{images}', 'workdir': workdir} | BASE | changes
  words = {f'{{{name}}}': str(path) for name, path in places.items()}
  arguments = []
  for name, value in values.items():
    text = str(value)
    for word, path in words.items():
      text = text.replace(word, path)
    if text or name != 'image_size':
      arguments.append(f'--{name}={text}')
  return parse_config(arguments)


def tree(folder: pathlib.Path) -> dict[str, bytes | None]:
  """Every name in a folder, with the bytes of files; the lock names its last holder."""
  return {
    str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
    for path in folder.rglob('*')
    if path.name != 'lock'
  }


def begin(config: sweep.SweepConfig) -> None:
  """What a sweep has left that finished; its numbers are made up."""
  workdir = Workdir(config.workdir)
  workdir.path.mkdir()
  workdir.write_identity(config)
  rows = made_up.make_rows([0.01, 0.02])
  workdir.append_rows(rows)
  results.write_parquet(workdir.table(), rows)
  workdir.save_data({}, np.zeros((2, 8, 8, 3), np.uint8))
  (workdir.report).mkdir()
  (workdir.report / 'index.html').write_text('a page')


def refuse(config) -> str:
  with pytest.raises(InputError) as caught:
    sweep.run(config, quiet=True)
  return str(caught.value)
