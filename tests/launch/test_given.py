"""Studies that were run by themselves, joined in a workdir as one."""

import dataclasses
import json
import shutil

import jax
import pytest
import tiny
from faults import harness
from made_up import make_row

from gpz_jax import model_inversion, results, sweep
from gpz_jax.generators import files as generator_files
from gpz_jax.launching import comparable, given
from gpz_jax.launching.merge import merge
from gpz_jax.launching.units import Unit
from gpz_jax.model_inversion.verify import verify as verify_inversion
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep.verify import verify
from gpz_jax.types import InputError

QUICK = {
  'model': 'tiny:Halving',
  'model_options': (),
  'splits': ('second',),
  'strategy': 'map',
}


def run(workdir, **changes):
  config = tiny.sweep_config(workdir, **QUICK | changes)
  sweep.run(config, quiet=True)
  return str(workdir)


def join(workdir, *folders):
  whole = given.plan_whole(str(workdir), folders)
  return merge(whole.config, whole.units, store=whole.store, quiet=True)


@pytest.fixture(scope='module')
def seeds(tmp_path_factory):
  """A sweep of two seeds, and one of each seed."""
  folder = tmp_path_factory.mktemp('seeds')
  run(folder / 'both', seeds=(0, 1))
  for seed in (0, 1):
    run(folder / f'seed_{seed}', seeds=(seed,))
  return folder


@pytest.mark.ci
def test_seeds_that_were_run_apart_are_the_study_of_both(seeds, tmp_path):
  found = join(tmp_path / 'whole', str(seeds / 'seed_0'), f'{seeds / "seed_1"}/')
  assert found.is_whole
  assert found.gaps == []
  ours, theirs = harness.metrics(tmp_path / 'whole'), harness.metrics(seeds / 'both')
  assert len(ours) == 2
  assert harness.differences(ours, theirs) == []
  verdict = verify(tmp_path / 'whole', sample=2)
  assert verdict.problems == []
  assert verdict.rescored.done == 2


@pytest.mark.ci
def test_the_whole_goes_on_as_a_study_of_its_own(seeds, tmp_path):
  join(tmp_path / 'whole', str(seeds / 'seed_0'), str(seeds / 'seed_1'))
  config = Workdir(tmp_path / 'whole').read_config(sweep.SweepConfig)
  assert config.seeds == (0, 1)
  before = harness.metrics(tmp_path / 'whole')
  found = sweep.run(config, quiet=True)  # there is nothing left to do
  assert len(found.rows) == 2
  assert harness.differences(harness.metrics(tmp_path / 'whole'), before) == []


def test_a_study_that_is_not_finished_leaves_a_gap(seeds, tmp_path):
  half = tmp_path / 'half'
  shutil.copytree(seeds / 'seed_1', half)
  for schema_file in ('results.jsonl', 'results.parquet'):
    (half / schema_file).unlink()
  found = join(tmp_path / 'whole', str(seeds / 'seed_0'), str(half))
  assert not found.is_whole
  assert len(found.rows) == 1
  assert any(f'unit {half} (one of --studies) is not finished' in g for g in found.gaps)
  assert not (tmp_path / 'whole' / 'results.parquet').exists()


@pytest.mark.ci
def test_splits_join_only_where_they_are_of_the_same_targets(seeds, tmp_path):
  first, second = str(seeds / 'seed_0'), str(tmp_path / 'second')
  run(second, splits=('first',), targets_from=first)
  found = join(tmp_path / 'whole', first, second)
  assert {row['split'] for row in found.rows} == {'first', 'second'}
  assert found.is_whole
  other = run(tmp_path / 'other', splits=('first',), alphas=(0.3,))
  config = Workdir(other).config  # a target that another machine trained otherwise
  config.write_text(config.read_text().replace('0.3', '0.0'))
  with pytest.raises(InputError, match=f'has another targets than.*_from={first}'):
    given.plan_whole(str(tmp_path / 'no'), (first, other))
  assert not (tmp_path / 'no').exists()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'seeds': (1,), 'alphas': (0.3,)}, 'differ in alphas and seeds'),
    ({}, 'differ in nothing'),
    ({'seeds': (0, 1)}, 'seeds=0 is in several of them'),
    ({'seeds': (1,), 'decoder_epochs': 2}, 'decoder_epochs is 2 there and 1 here'),
  ],
)
def test_what_is_no_part_of_one_study_is_refused(seeds, tmp_path, changes, message):
  base = Workdir(seeds / 'seed_0').read_config(sweep.SweepConfig)
  other = Workdir(tmp_path / 'other')
  other.path.mkdir()
  other.write_identity(dataclasses.replace(base, workdir=str(other.path), **changes))
  with pytest.raises(InputError, match=message) as caught:
    given.plan_whole(str(tmp_path / 'no'), (base.workdir, str(other.path)))
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'no').exists()


def write_study(folder, **changes):
  """A study that has its config only, and what guesses score on its images."""
  config = tiny.sweep_config(folder, **QUICK | changes)
  folder.mkdir()
  Workdir(folder).write_identity(config)
  return Workdir(folder)


def write_guess(workdir, mse):
  scores = {'mse': mse, 'psnr': 12.0, 'ssim': 0.1, 'mse_paper': 3 * mse}
  workdir.ladder.write_text(json.dumps({'mean_image': scores}))


def test_studies_of_other_images_are_refused_before_anything_is_written(tmp_path):
  parts = [write_study(tmp_path / f's{seed}', seeds=(seed,)) for seed in (0, 1)]
  for part, mse in zip(parts, (0.06, 0.09), strict=True):
    write_guess(part, mse)
  with pytest.raises(InputError, match='other images than unit') as caught:
    join(tmp_path / 'whole', *map(str, parts))
  assert str(caught.value) == (
    f'unit {parts[1]} (one of --studies) was scored on other images than unit'
    f' {parts[0]} (one of --studies): the guess mean_image scores 0.09000 on them and'
    ' not 0.06000; do one of the two again on the images of the other'
  )
  assert not (tmp_path / 'whole').exists()


def write_theory(workdir, examples, epoch=0):
  row = make_row(results.THEORY, examples=examples, epoch=epoch, split='second')
  workdir.append_rows([row], results.THEORY)


@pytest.mark.parametrize(
  ('epoch', 'way_out'),
  [
    (0, 'run one of them again with the --theory_limit of the other, or remove'),
    (3, 'nothing compares the two; remove theory.jsonl and theory'),
  ],
)
def test_theories_of_different_numbers_of_images_are_not_joined(
  tmp_path, epoch, way_out
):
  parts = [write_study(tmp_path / f's{seed}', seeds=(seed,)) for seed in (0, 1)]
  for part, examples in zip(parts, (600, 20_000), strict=True):
    write_theory(part, examples, epoch)
  with pytest.raises(InputError, match=way_out) as caught:
    join(tmp_path / 'whole', *map(str, parts))
  assert str(caught.value).startswith(
    f'unit {parts[1]} (one of --studies) has its theory measured on 20000 images and'
    f' unit {parts[0]} (one of --studies) on 600, and nothing compares the two; '
  )
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'whole').exists()


def test_a_training_may_be_followed_on_fewer_images_than_its_end(tmp_path):
  workdirs = [Workdir(tmp_path / f's{seed}') for seed in (0, 1)]
  for workdir in workdirs:
    workdir.path.mkdir()
    write_theory(workdir, 600, epoch=1)
    write_theory(workdir, 20_000)
  comparable.check_examples([comparable.Source('it', each) for each in workdirs])


def test_a_whole_of_other_images_is_refused_too(tmp_path):
  part = write_study(tmp_path / 'part')
  write_guess(part, 0.06)
  whole = tmp_path / 'whole'
  whole.mkdir()
  write_guess(Workdir(whole), 0.09)
  unit = Unit(str(part), 'seed', (), (), 'one of --studies')
  config = tiny.sweep_config(whole, **QUICK)
  with pytest.raises(InputError, match=f'other images than --workdir={whole}: the gu'):
    merge(config, [unit], store=given.Folders(str(whole)), quiet=True)


def test_folders_that_cannot_be_joined_are_named(seeds, tmp_path):
  first, second = str(seeds / 'seed_0'), str(seeds / 'seed_1')
  for folders in ((first,), (first, first), (first, f'{first}/')):
    with pytest.raises(InputError, match='two workdirs or more, each of them once'):
      given.plan_whole(str(tmp_path / 'no'), folders)
  with pytest.raises(InputError, match=f'--workdir={first} is one of --studies'):
    given.plan_whole(first, (first, second))
  with pytest.raises(InputError, match=r'holds no config\.json'):
    given.plan_whole(str(tmp_path / 'no'), (first, str(tmp_path / 'absent')))
  (tmp_path / 'units.jsonl').touch()
  with pytest.raises(InputError, match='holds units of a study of its own'):
    given.plan_whole(str(tmp_path), (first, second))


@pytest.mark.ci
def test_studies_of_model_inversion_join_where_one_evaluator_judged(tmp_path):
  def study(name, **changes):
    config = tiny.inversion_config(tmp_path / name, strategy='map', **changes)
    model_inversion.run(config, quiet=True)
    return config.workdir

  first = study('first', seeds=(0,))
  second = study('second', seeds=(1,), evaluator_from=first, prior_from=first)
  found = join(tmp_path / 'whole', first, second)
  assert found.is_whole
  assert {row['seed'] for row in found.rows} == {0, 1}
  classes = Workdir(tmp_path / 'whole').read_rows(results.CLASSES)
  assert len(classes) == sum(row['num_attacked'] for row in found.rows)
  assert verify_inversion(tmp_path / 'whole').problems == []
  path = Workdir(second).generator
  generator, variables = generator_files.load(path)
  generator_files.save(path, generator, jax.tree.map(lambda x: x + 1, variables))
  with pytest.raises(InputError, match=f'another generator.*--prior_from={first}'):
    given.plan_whole(str(tmp_path / 'no'), (first, second))
