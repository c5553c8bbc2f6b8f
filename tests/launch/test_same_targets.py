"""Units and studies are joined only where they attacked the same targets."""

import json
import types
from typing import Any

import pytest
import tiny
from made_up import make_row

from gpz_jax import results
from gpz_jax.launching import comparable, copying, parts
from gpz_jax.launching.comparable import Source
from gpz_jax.launching.parts import Part
from gpz_jax.launching.units import Unit
from gpz_jax.study import continuing
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError


def make_workdir(path, digests):
  path.mkdir()
  Workdir(path).attacked.write_text(json.dumps(digests))
  return Workdir(path)


def make_sources(folder, *found):
  return [
    Source(f'unit {i} (cohort)', make_workdir(folder / f'unit_{i}', digests))
    for i, digests in enumerate(found)
  ]


def test_units_of_one_target_or_of_several_lanes_are_joined(tmp_path):
  sources = make_sources(tmp_path, {'a': '1', 'b': '2'}, {'a': '1'}, {'c': '3'}, {})
  comparable.check_targets([*sources, Source('x', Workdir(tmp_path / 'absent'))])


def test_a_target_that_was_trained_again_is_named(tmp_path):
  sources = make_sources(tmp_path, {'a': '1', 'b': '2'}, {'b': '9'})
  with pytest.raises(InputError) as caught:
    comparable.check_targets(sources)
  assert str(caught.value) == (
    'unit 1 (cohort) has another target b than unit 0 (cohort): it was trained again,'
    f' borrowed elsewhere or overwritten in between; remove {tmp_path / "unit_1"} and'
    ' have it done again on the target of the other'
  )


def test_rows_of_an_earlier_merge_stay_where_they_are_of_the_same_targets(tmp_path):
  whole = make_workdir(tmp_path / 'whole', {'a': '1', 'b': '2'})
  rows = [
    make_row(lane_id=lane_id, split=split, status='done')
    for lane_id, split in (('a', 'x'), ('b', 'x'), ('b', 'y'), ('c', 'x'))
  ]
  whole.append_rows(rows)
  unit = make_workdir(tmp_path / 'unit', {'b': '9', 'c': '3'})
  part = Part(Unit('u', 'cohort', (), (), 'cohort'), unit, [], {})
  taken = {results.row_key(rows[1])}
  said = []
  found = parts.read_earlier(
    whole, results.RESULTS, [part], taken, results.row_key, said.append
  )
  assert [(row['lane_id'], row['split']) for row in found] == [('a', 'x'), ('c', 'x')]
  assert len(said) == 1
  assert said[0].startswith('1 rows of an earlier merge are of other targets than')


def test_another_evaluator_is_refused_and_a_damaged_one_passed_over(
  tmp_path, monkeypatch
):
  sources = make_sources(tmp_path, {}, {}, {})
  found: dict[Any, Any] = dict(
    zip((each.workdir.evaluator for each in sources), 'aab', strict=True)
  )
  monkeypatch.setattr(comparable, 'identify', found.get)
  comparable.check_trained(sources[:2], ('evaluator', 'generator'))
  with pytest.raises(InputError, match=r'unit 2 \(cohort\) has another evaluator than'):
    comparable.check_trained(sources, ('evaluator', 'generator'))
  found[sources[2].workdir.evaluator] = None
  comparable.check_trained(sources, ('evaluator', 'generator'))


def test_a_file_that_was_overwritten_is_not_the_target_of_the_units(
  tmp_path, monkeypatch
):
  config = tiny.sweep_config(tmp_path / 'whole', target_weights='t.safetensors')
  (lane,) = config.list_lanes()
  plan = types.SimpleNamespace(config=config, weights='some', lanes=[lane])
  session: Any = types.SimpleNamespace(plan=plan, workdir=Workdir(config.workdir))
  monkeypatch.setattr(copying.study_targets, 'take', lambda session: ('now', ''))
  monkeypatch.setattr(continuing, 'digest_targets', lambda *_: {lane.lane_id: '1'})
  unit = Unit('u', 'seed', (), (), 'one of --studies')
  same = Part(unit, make_workdir(tmp_path / 'a', {lane.lane_id: '1'}), [], {})
  copying.check_given(session, [same])
  other = Part(unit, make_workdir(tmp_path / 'b', {lane.lane_id: '2'}), [], {})
  with pytest.raises(
    InputError, match=r'another target .* than --target_weights=t\.sa'
  ):
    copying.check_given(session, [same, other])
