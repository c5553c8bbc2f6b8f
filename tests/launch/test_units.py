"""What a sweep is cut into."""

import pytest
import tiny

from gpz_jax import sweep
from gpz_jax.commands.sweep import parse_config
from gpz_jax.launching.units import Store, find, plan_units
from gpz_jax.types import InputError

ATTACKS = ('inversion', 'inversion:at=conv_2|conv_3', 'query_free')


def make(tmp_path, **changes):
  changes = {'splits': ('conv_2', 'conv_3'), 'seeds': (0, 1)} | changes
  return sweep.make_plan(tiny.sweep_config(tmp_path / 'big', **changes))


def test_targets_come_first_then_each_cohort_of_each_attack_then_the_merge(tmp_path):
  plan = make(tmp_path, attack=('inversion', 'inversion:at=conv_2|conv_3'))
  units = plan_units(plan)
  targets, merge = units[:2], units[-1]
  assert [unit.kind for unit in units] == [
    *['targets'] * 2,
    *['cohort'] * 6,  # two shapes, and the attack that names its own places
    'merge',
  ]
  for i, unit in enumerate(units[2:-1]):
    assert unit.needs == (targets[i % 2].name,)
  assert merge.needs == tuple(unit.name for unit in units[2:-1])


def test_together_the_units_have_the_rows_of_the_whole(tmp_path):
  plan = make(tmp_path, attack=('inversion', 'inversion:at=conv_2|conv_3'))
  found = []
  for unit in plan_units(plan):
    if unit.kind == 'cohort':
      part = sweep.make_plan(parse_config([*unit.flags, f'--workdir={tmp_path}/u']))
      for wanted in part.missing([]).values():
        for lane, attacks in wanted.items():
          found += [(lane.name, attack.text) for attack in attacks]
  expected = [
    (lane.name, attack.text)
    for wanted in plan.missing([]).values()
    for lane, attacks in wanted.items()
    for attack in attacks
  ]
  assert sorted(found) == sorted(expected)


def test_a_training_is_followed_where_it_is_done(tmp_path):
  plan = make(tmp_path, theory_every=1)
  for per, kind in (('cohort', 'targets'), ('seed', 'seed')):
    for unit in plan_units(plan, per)[:-1]:
      folders = [f'--workdir={tmp_path}/u']
      folders += [f'--targets_from={name}' for name in unit.needs]
      config = parse_config([*unit.flags, *folders])
      config.check_begins()  # as it is asked where the unit begins
      assert config.theory_every == (1 if unit.kind == kind else None)


def test_units_have_names_that_only_depend_on_what_is_computed(tmp_path):
  plan = make(tmp_path)
  names = [unit.name for unit in plan_units(plan)]
  assert len(set(names)) == len(names)
  other = make(tmp_path / 'elsewhere', save_seconds=7.0)
  assert [unit.name for unit in plan_units(other)] == names
  longer = make(tmp_path, decoder_epochs=2)
  assert not {unit.name for unit in plan_units(longer)} & {*names}


def test_a_seed_may_be_a_unit_and_borrowed_targets_are_not_trained(tmp_path):
  plan = make(tmp_path)
  assert [u.kind for u in plan_units(plan, 'seed')] == ['seed', 'seed', 'merge']
  assert len(plan_units(plan)) == 7


def test_units_are_written_once_and_others_are_refused(tmp_path):
  store, units = Store(tmp_path / 'big'), plan_units(make(tmp_path))
  store.write(units)
  store.write(units)
  assert store.read() == units
  assert find(units, units[1].name) is units[1]
  with pytest.raises(InputError, match='--unit=x is not in'):
    find(units, 'x')
  with pytest.raises(InputError, match='holds the units of another study'):
    store.write(units[:3])


@pytest.mark.parametrize('line', ['{', '[]', '{"name": "../x"}', '7'])
def test_a_damaged_list_is_named(tmp_path, line):
  store = Store(tmp_path)
  store.list.write_text(line + '\n')
  with pytest.raises(InputError, match=r'units.jsonl line 1 is damaged'):
    store.read()
  store.write([])
  assert store.read() == []


def test_tuned_convolutions_are_refused(tmp_path):
  with pytest.raises(InputError, match='--tune has each unit measure'):
    plan_units(make(tmp_path, tune=True))
