"""What a study of model inversion is cut into, and what it takes of other studies."""

import dataclasses
import json

import pytest
import tiny

from gpz_jax import model_inversion
from gpz_jax.commands import studies
from gpz_jax.commands.model_inversion import parse_config
from gpz_jax.launching import kubernetes, slurm, states
from gpz_jax.launching.inversion_units import plan_units
from gpz_jax.launching.studies import STUDIES
from gpz_jax.launching.units import Store
from gpz_jax.results import INVERSIONS, RESULTS
from gpz_jax.study.serialization import to_json
from gpz_jax.types import InputError


@pytest.fixture(scope='module')
def plan(tmp_path_factory):
  """Two treatments with two seeds."""
  workdir = tmp_path_factory.mktemp('units') / 'big'
  return model_inversion.make_plan(tiny.inversion_config(workdir, seeds=(0, 1)))


def change(plan, **changes):
  return dataclasses.replace(plan, config=dataclasses.replace(plan.config, **changes))


def test_what_is_trained_comes_first_then_each_attack_on_each_target(plan):
  units = plan_units(plan)
  assert [unit.kind for unit in units] == [
    *('evaluator', 'prior', 'targets', 'targets'),
    *['attack'] * 4,
    'merge',
  ]
  evaluator, prior, *targets = (unit.name for unit in units[:4])
  for unit, lane in zip(units[4:8], plan.lanes, strict=True):
    assert unit.needs == (evaluator, prior, targets[lane.seed])
    assert unit.title.endswith(f' on {lane.treatment}, seed {lane.seed}')
  assert units[-1].needs == tuple(unit.name for unit in units[4:8])
  assert {unit.study for unit in units} == {'model_inversion'}
  store = Store(plan.config.workdir)
  store.write(units)
  assert store.read() == units


def test_units_of_treatments_that_are_no_cross_product(tmp_path):
  config = tiny.inversion_config(
    tmp_path / 'big',
    model='resnet18',
    model_options=('width=0.0625',),
    treatments=('none', 'bido', 'rolss+bido'),
    alphas=(0.0,),
    defence=('none',),
  )
  plan = model_inversion.make_plan(config)
  attacks = [unit for unit in plan_units(plan) if unit.kind == 'attack']
  found = [
    lane.lane_id
    for unit in attacks
    for lane in parse_config([*unit.flags, '--workdir=x']).list_lanes()
  ]
  assert sorted(found) == sorted(lane.lane_id for lane in plan.lanes)
  assert len(attacks) == len(found) == 3 * len(plan.config.attack)


def test_together_the_units_have_the_rows_of_the_whole(plan):
  found = []
  for unit in plan_units(plan):
    config = parse_config([*unit.flags, '--workdir=x'])
    if unit.kind == 'attack':
      (lane,) = config.list_lanes()
      found.append((lane.lane_id, *config.attack))
    if unit.kind == 'targets':
      assert len(config.list_lanes()) == 2  # all treatments of one seed
  expected = [(lane.lane_id, a.text) for a in plan.attacks for lane in plan.lanes]
  assert sorted(found) == sorted(expected)


def test_units_have_names_that_only_depend_on_what_is_computed(plan):
  names = [unit.name for unit in plan_units(plan)]
  assert len(set(names)) == len(names)
  assert [unit.name for unit in plan_units(change(plan, save_seconds=7.0))] == names
  more = {unit.name for unit in plan_units(change(plan, sure=0.5))}
  assert not more & {*names}


def test_what_is_given_is_no_unit_and_a_seed_may_be_one(plan):
  given = change(plan, evaluator_from='there', generator='file', targets_from='there')
  units = plan_units(given)
  assert [unit.kind for unit in units] == [*['attack'] * 4, 'merge']
  assert {unit.needs for unit in units[:-1]} == {()}
  units = plan_units(plan, 'seed')
  assert [unit.kind for unit in units] == [
    *('evaluator', 'prior', 'seed', 'seed', 'merge')
  ]
  assert {unit.needs for unit in units[2:4]} == {(units[0].name, units[1].name)}


def test_arrays_follow_their_targets_and_wait_for_evaluator_and_prior(plan):
  units = plan_units(plan)
  names = [unit.name for unit in units]
  arrays = slurm.plan_arrays(units, names, {})
  shared = (('afterok', 0), ('afterok', 1))
  assert arrays == [
    slurm.Array('evaluator', (names[0],)),
    slurm.Array('prior', (names[1],)),
    slurm.Array('targets', (names[2], names[3])),
    slurm.Array('attack', (names[4], names[5]), (('aftercorr', 2), *shared)),
    slurm.Array('attack', (names[6], names[7]), (('aftercorr', 2), *shared)),
    slurm.Array('merge', (names[8],), tuple(('afterany', i) for i in range(5))),
  ]
  queued = {names[0]: states.Queued('23_0', 'RUNNING')}
  first, second = slurm.plan_arrays(units, [names[1], names[4]], queued)
  assert first == slurm.Array('prior', (names[1],))
  waits = (('afterok', 0), ('afterok', '23_0'))
  assert second == slurm.Array('attack', (names[4],), waits)
  by_seed = plan_units(plan, 'seed')
  arrays = slurm.plan_arrays(by_seed, [unit.name for unit in by_seed], {})
  assert arrays[2] == slurm.Array('seed', (by_seed[2].name, by_seed[3].name), shared)


def test_a_jobset_trains_all_side_by_side_before_it_attacks(plan):
  units = plan_units(plan)
  names = [unit.name for unit in units]
  settings = kubernetes.Settings('i', 'data:/data')
  files = kubernetes.make_files(Store('runs/big'), units, names, settings)
  texts = {path.name: text.split() for path, text in files.items()}
  assert texts['training.txt'] == names[:4]
  assert texts['attack.txt'] == names[4:8]
  assert texts['merge.txt'] == names[8:]


def test_states_are_read_off_the_files_of_each_kind(plan, tmp_path):
  units, store = plan_units(plan), Store(tmp_path)
  assert not any(states.is_done(store, unit) for unit in units)
  folders = [store.workdir(unit.name) for unit in units]
  (folders[0] / 'evaluator' / '0').mkdir(parents=True)
  folders[1].mkdir(parents=True)
  (folders[1] / 'generator.safetensors').touch()
  (folders[2] / 'targets' / '0').mkdir(parents=True)
  folders[4].mkdir(parents=True)
  (folders[4] / 'inversions.parquet').touch()
  (folders[4] / 'inversions.jsonl').write_text('{}\n')
  found = states.list_states(store, units)
  assert [(state.state, state.rows) for state in found] == [
    *[('done', 0)] * 3,
    ('to do', 0),
    ('done', 1),
    ('waiting', 0),
    ('to do', 0),
    *[('waiting', 0)] * 2,
  ]
  assert [study.rows for study in STUDIES.values()] == [RESULTS.name, INVERSIONS.name]


@pytest.mark.parametrize(
  ('flags', 'study'),
  [
    (['--preset=mi_small', '--cluster=slurm'], 'model_inversion'),
    (['--preset=cifar10_small', '--seeds=0,1'], 'sweep'),
    (['--seeds=0,1'], 'sweep'),
    (['--seeds=0,1', '--nokes'], 'model_inversion'),
    (['--study=model_inversion', '--seeds=0'], 'model_inversion'),
    (['--study', 'model_inversion', '--seeds', '0'], 'model_inversion'),
    (['--seeds', '0', '--classes', '3'], 'model_inversion'),
    (['--flagfile=absent.cfg'], 'sweep'),
  ],
)
def test_the_flags_tell_which_study_it_is(flags, study):
  assert studies.choose(['submit', *flags]) == study


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--preset=mi_small', '--splits=fc_1'], '--splits one of a sweep; leave one'),
    (['--study=sweeps'], "did you mean 'sweep'"),
  ],
)
def test_flags_of_two_studies_are_refused(flags, message):
  with pytest.raises(InputError, match=message):
    studies.choose(['submit', *flags])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'evaluator_from': 'a', 'evaluator_weights': 'b'},
      '--evaluator_from=a is not allowed; give that or --evaluator_weights, not both',
    ),
    (
      {'prior_from': 'a', 'generator': 'b'},
      '--prior_from=a is not allowed; give that or --generator, not both',
    ),
    ({'tune': True}, '--tune=True is not allowed; give --notune'),
  ],
)
def test_flags_that_do_not_go_together_are_refused(changes, message):
  with pytest.raises(InputError, match=message):
    tiny.inversion_config('x', **changes)


@pytest.mark.parametrize(
  ('name', 'theirs', 'message'),
  [
    ('evaluator_from', None, 'holds no study'),
    ('evaluator_from', {}, 'has trained no evaluator yet'),
    (
      'evaluator_from',
      {'evaluator_epochs': 2},
      'has another evaluator: evaluator_epochs is 2 there and 1 here',
    ),
    ('evaluator_from', {'seeds': (7,), 'classes': 1}, 'has trained no evaluator yet'),
    ('prior_from', None, 'holds no study'),
    ('prior_from', {'evaluator_epochs': 2}, 'has trained no generator yet'),
    ('prior_from', {'public_limit': 3}, 'has another generator: public_limit is 3'),
  ],
)
def test_studies_that_lack_what_is_asked_for_are_refused(
  tmp_path, name, theirs, message
):
  source, workdir = tmp_path / 'source', tmp_path / 'study'
  if theirs is not None:
    source.mkdir()
    config = tiny.inversion_config(source, **theirs)
    (source / 'config.json').write_text(json.dumps(to_json(config)))
  config = tiny.inversion_config(workdir, **{name: str(source)})
  with pytest.raises(InputError, match=f'--{name}=.*{message}'):
    model_inversion.run(config, quiet=True)
  assert not workdir.exists()
