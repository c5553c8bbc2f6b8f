"""Flags of the other commands: refused in one line before anything is done."""

import pathlib
import types

import pytest
from absl import flags

from gpz_jax.commands import bench, command, prepare_data, reproduce
from gpz_jax.data.builders.shapes import shapes_dataset_builder
from gpz_jax.types import InputError

LONG = 'x' * 300


def parsed(define, *arguments):
  values = flags.FlagValues()
  define(values)
  command.check_no_more(command.parse_flags(values, ['command', *arguments]))
  return values


@pytest.mark.parametrize(
  'argument',
  [
    *('--suite=x', '--suite=', '--model=cnn', '--peer=z', '--case=zz'),
    *('--lanes=0', '--lanes=', '--lanes=1,', f'--lanes={"9" * 5000}', '--lanes=²'),
    *('--lanes=99999999', '--strategy=x', '--strategy=chunk:0', '--conv=1', '--peers'),
    *('--precision=y', '--json=/nowhere/x', f'--json={LONG}/x', '--json=/dev/null/x'),
    *('--batch=0', '--batch=-1', '--batch=99999999999', '--steps=x', '--repeats=1e9'),
    *('--batch=nan', 'word', '\ufeff--suite=step', '--nosuite', '--unknown'),
  ],
)
def test_bench(argument):
  name = argument.strip('-').partition('=')[0]
  with pytest.raises(InputError, match=name.strip('\ufeff-')) as caught:
    bench.run(parsed(bench.define_flags, '--suite=conv', '--case=', argument))
  assert str(caught.value).isprintable()


@pytest.mark.parametrize('table', ['7', '../4', '', 'x' * 300, '4\n', '*', '\0'])
def test_reproduce(table):
  with pytest.raises(InputError) as caught:
    reproduce._artefact(table, None)
  assert str(caught.value).isprintable()


@pytest.mark.parametrize('seeds', ['../../x', '0,0', 'a', '-1', '9' * 5000, '0\n', '/'])
def test_reproduce_writes_nothing_for_bad_seeds(seeds, tmp_path):
  options = types.SimpleNamespace(root=str(tmp_path / 'r'), data_dir=None, seeds=seeds)
  flagfile = reproduce.FOLDER / 'flagfiles' / 'quickstart.cfg'
  with pytest.raises(InputError, match=r'seeds|workdir'):
    reproduce._sweep(flagfile, options)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'name',
  ['', '../x', 'a/..', LONG, 'folder:x', 'nowhere', 'a\0', 'mnist/x/y'],
)
@pytest.mark.parametrize('manual_dir', [None, '/nowhere', LONG, 'a\0'])
def test_prepare_data(name, manual_dir, tmp_path):
  with pytest.raises(InputError) as caught:
    prepare_data.prepare(name, tmp_path / 'data', manual_dir)
  assert str(caught.value).isprintable()
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('data_dir', ['/dev/null/x', '/' + LONG, '/proc/x'])
def test_data_folders_that_cannot_be(data_dir, monkeypatch):
  monkeypatch.setattr(shapes_dataset_builder, 'NUM_EXAMPLES', {'train': 4, 'test': 2})
  with pytest.raises(InputError, match='shapes') as caught:
    prepare_data.prepare('shapes', pathlib.Path(data_dir), None)
  assert str(caught.value).isprintable()
