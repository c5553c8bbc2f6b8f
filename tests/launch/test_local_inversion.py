"""Model inversion in units on this machine: two kills, a resume and a merge."""

import dataclasses
import shutil

import pools
import pytest
import tiny
from faults import harness

from gpz_jax import checkpoints, results
from gpz_jax.commands.model_inversion import parse_config
from gpz_jax.generators import files as generator_files
from gpz_jax.launching import outcomes, states
from gpz_jax.launching.merge import merge
from gpz_jax.launching.units import Store
from gpz_jax.model_inversion.verify import verify
from gpz_jax.study.serialization import write_flags
from gpz_jax.study.workdir import Workdir

pytestmark = pytest.mark.slow
CHANGES = {
  'model': 'tiny:Halving',
  'model_options': (),
  'alphas': (0.0,),
  'seeds': (0, 1),
  'strategy': 'map',
}
# A target of each kind: as it is, without a skip connection, defended. The attack asks
# the critic that was trained beside the prior.
SKIPS = {
  'model': 'resnet18',
  'model_options': ('width=0.0625',),
  'skips': ('1111', '1110'),
  'defence': ('none', 'bido:lx=0.05:ly=0.5'),
  'one_at_a_time': True,
  'attack': ('gmi:preset=small:steps=2',),
  'seeds': (0,),
}


def list_flags(**changes) -> list[str]:
  """The flags of the tiny study."""
  values = dataclasses.asdict(tiny.inversion_config('x', **CHANGES | changes))
  del values['workdir']
  return write_flags(values).splitlines()


def do_both(folder, **changes):
  """A study in one process, and in units that are hurt."""
  return pools.do_both('model_inversion', folder, list_flags(**changes))


@pytest.fixture(scope='module')
def both(tmp_path_factory):
  return do_both(tmp_path_factory.mktemp('both'))


def read(workdir, schema):
  """The rows of a finished study, without what may differ between two runs."""
  rows = results.read_parquet(Workdir(workdir).table(schema), schema)
  return [{k: v for k, v in row.items() if k not in harness.INCIDENTAL} for row in rows]


def check_rows(folder, count):
  rows = read(folder / 'big', results.INVERSIONS)
  assert len(rows) == count
  for schema in (results.INVERSIONS, results.CLASSES):
    ours, theirs = (read(folder / name, schema) for name in ('big', 'whole'))
    assert harness.differences(ours, theirs) == []
  verdict = verify(folder / 'big')
  assert verdict.problems == []
  assert verdict.num_checkpoints == 2  # the targets and the evaluator


def test_the_rows_are_those_of_one_process_bit_for_bit(both):
  check_rows(both, 2)


def test_the_page_shows_what_one_process_shows(both):
  def names(part):
    return [
      sorted(p.name for p in (both / w / part).iterdir()) for w in ('whole', 'big')
    ]

  for part in ('samples', 'history', 'report'):
    ours, theirs = names(part)
    assert ours == theirs
  _, ours = generator_files.load(both / 'big' / 'generator.safetensors')
  _, theirs = generator_files.load(both / 'whole' / 'generator.safetensors')
  assert checkpoints.checksums(ours) == checkpoints.checksums(theirs)
  assert 'is not finished' not in (both / 'big' / 'report' / 'index.html').read_text()


def test_evaluator_and_prior_are_trained_once_and_all_is_done(both):
  store = Store(both / 'big')
  units = store.read()
  assert [unit.kind for unit in units] == [
    *('evaluator', 'prior', 'targets', 'targets', 'attack', 'attack', 'merge')
  ]
  assert {state.state for state in states.list_states(store, units)} == {'done'}
  assert sum(outcomes.read_retries(store.folder(u.name)) for u in units) >= 1
  for unit in units[4:6]:
    log = (store.folder(unit.name) / 'log.txt').read_text()
    assert 'the generator is that of' in log
    assert 'the evaluator trains by' not in log
    assert 'targets train by' not in log


def test_a_part_is_merged_and_says_what_is_missing(both, tmp_path):
  store = Store(tmp_path / 'part')
  shutil.copytree(both / 'big' / 'units', store.units)
  shutil.copyfile(both / 'big' / 'units.jsonl', store.list)
  units = store.read()
  absent, torn = units[4:6]
  config = parse_config([*units[-1].flags, f'--workdir={store.path}'])
  shutil.rmtree(store.folder(absent.name))
  found = merge(config, units, quiet=True)
  assert (len(found.rows), found.total) == (1, 2)
  assert f'unit {absent.name} ({absent.title}) has not begun' in found.gaps
  assert 'shows 1 of 2 rows' in (store.path / 'report' / 'index.html').read_text()
  assert not (store.path / 'inversions.parquet').exists()

  for path in (store.path, store.workdir(torn.name)):
    lines = Workdir(path).lines(results.CLASSES)
    lines.write_text(lines.read_text().splitlines(keepends=True)[0])
  (store.path / 'inversions.jsonl').unlink()
  found = merge(config, units, quiet=True)
  assert not found.rows
  assert 'the classes of 1 rows are not all there' in '\n'.join(found.gaps)


def test_treatments_of_a_residual_net_have_the_bits_of_one_process(tmp_path):
  check_rows(do_both(tmp_path, **SKIPS), 3)
