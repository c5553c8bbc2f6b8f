"""Rows of results and their files."""

import functools
import json
import math

import made_up
import numpy as np
import pyarrow.parquet as pq
import pytest

from gpz_jax import results
from gpz_jax.types import InputError

make_row = functools.partial(made_up.make_row, status='done')
make_theory_row = functools.partial(made_up.make_row, results.THEORY)


def test_rows_come_back_as_written(tmp_path):
  path = tmp_path / 'results.jsonl'
  first = make_row(alpha=np.float32(0.5), seed=np.int64(3), test_mse=1)
  results.append_rows(path, [first])
  results.append_rows(path, [make_row(split='</script>')])
  rows = results.read_rows(path)
  assert rows[0] == make_row(alpha=0.5, seed=3, test_mse=1.0)
  assert type(rows[0]['seed']) is int
  assert type(rows[0]['test_mse']) is float
  assert rows[1]['split'] == '</script>'
  assert list(rows[0]) == [column.name for column in results.COLUMNS]


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_null_in_the_file(tmp_path, value):
  path = tmp_path / 'results.jsonl'
  results.append_rows(path, [make_row(test_mse=value, status='diverged')])
  assert json.loads(path.read_text())['test_mse'] is None
  assert math.isnan(results.read_rows(path)[0]['test_mse'])


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'surprise': 1}, 'unknown columns ..surprise'),
    ({'seed': 1.5}, 'column seed: 1.5 is not of type int'),
    ({'seed': True}, 'column seed'),
    ({'split': 3}, 'column split'),
    ({'test_mse': 'low'}, 'column test_mse'),
    ({'status': 'fine'}, "'fine' is not one of"),
  ],
)
def test_a_row_that_breaks_the_schema_is_a_programming_error(tmp_path, change, message):
  with pytest.raises(ValueError, match=message):
    results.append_rows(tmp_path / 'results.jsonl', [make_row(**change)])
  assert not (tmp_path / 'results.jsonl').exists()


def test_a_missing_column_is_named(tmp_path):
  row = make_row()
  del row['test_ssim']
  with pytest.raises(ValueError, match=r'lacks columns .*test_ssim'):
    results.append_rows(tmp_path / 'results.jsonl', [row])


def test_a_torn_last_line_is_ignored_and_then_removed(tmp_path):
  path = tmp_path / 'results.jsonl'
  for seed in (0, 1):
    results.append_rows(path, [make_row(seed=seed)])
  whole = path.read_bytes()
  path.write_bytes(whole[:-7])  # killed in the middle of the second line
  assert [row['seed'] for row in results.read_rows(path)] == [0]
  results.append_rows(path, [make_row(seed=2)])
  assert [row['seed'] for row in results.read_rows(path)] == [0, 2]


@pytest.mark.parametrize('damage', ['{"model": ', '[1, 2]', '{}', 'null', ''])
def test_damage_elsewhere_is_reported_by_line(tmp_path, damage):
  path = tmp_path / 'results.jsonl'
  results.append_rows(path, [make_row()])
  path.write_text(path.read_text() + damage + '\n' + path.read_text())
  with pytest.raises(InputError, match='line 2 is damaged') as caught:
    results.read_rows(path)
  assert '\n' not in str(caught.value)


def test_missing_files_are_named(tmp_path):
  for read in (results.read_rows, results.read_parquet):
    with pytest.raises(InputError, match='nowhere'):
      read(tmp_path / 'nowhere')
  (tmp_path / 'text').write_text('not parquet')
  with pytest.raises(InputError, match='text'):
    results.read_parquet(tmp_path / 'text')


def test_parquet_is_sorted_and_keeps_types_and_meanings(tmp_path):
  path = tmp_path / 'results.parquet'
  keys = [(1, 0.0, 0), (0, 0.3, 1), (0, 0.3, 0), (0, -0.05, 5)]
  rows = [make_row(split_index=i, alpha=a, seed=s) for i, a, s in keys]
  rows[0]['test_psnr'] = math.nan
  results.write_parquet(path, rows)
  back = results.read_parquet(path)
  assert [(r['split_index'], r['alpha'], r['seed']) for r in back] == sorted(keys)
  assert math.isnan(back[-1]['test_psnr'])
  assert back[0] == rows[3]
  table = pq.read_table(path)
  assert table['test_psnr'].null_count == 1
  assert table.schema.field('alpha').metadata[b'meaning'].startswith(b'label smooth')
  assert [p.name for p in tmp_path.iterdir()] == ['results.parquet']


def test_a_failed_parquet_leaves_the_old_one(tmp_path):
  path = tmp_path / 'results.parquet'
  results.write_parquet(path, [make_row()])
  with pytest.raises(ValueError, match='unknown columns'):
    results.write_parquet(path, [make_row(surprise=1)])
  assert results.read_parquet(path) == [make_row()]


def test_row_key_names_lane_split_and_attack():
  row = make_row(lane_id='ab', split='block_1', attack='inversion')
  assert results.row_key(row) == ('ab', 'block_1', 'inversion')


def test_rows_of_a_parquet_are_sorted_by_seed_before_attack(tmp_path):
  keys = [(1, 'a'), (0, 'b'), (0, 'a')]
  rows = [make_row(seed=seed, attack=attack) for seed, attack in keys]
  results.write_parquet(tmp_path / 'results.parquet', rows)
  back = results.read_parquet(tmp_path / 'results.parquet')
  assert [(row['seed'], row['attack']) for row in back] == sorted(keys)


def test_provenance_is_json_without_paths():
  found = results.provenance()
  json.dumps(found)
  assert {'jax', 'jaxlib', 'flax', 'optax', 'numpy', 'python', 'gpz_jax'} <= set(
    found['versions']
  )
  assert found['device_count'] >= 1
  assert '/' not in json.dumps(found)


def test_theory_rows_come_back_from_both_kinds_of_file(tmp_path):
  rows = [
    make_theory_row(split_index=1, quantity='radius', low=math.nan, high=math.nan),
    make_theory_row(split_index=0, quantity='radius', value=np.float32(0.25)),
    make_theory_row(split_index=0, quantity='entropy_trace', value=-math.inf),
  ]
  results.append_rows(tmp_path / 'theory.jsonl', rows, results.THEORY)
  back, is_final = results.read_workdir(tmp_path, results.THEORY)
  assert (len(back), is_final) == (3, False)
  assert back[1] == make_theory_row(split_index=0, quantity='radius', value=0.25)
  assert math.isnan(back[0]['low'])
  results.write_parquet(tmp_path / 'theory.parquet', rows, results.THEORY)
  back, is_final = results.read_workdir(tmp_path, results.THEORY)
  assert is_final
  assert [(r['split_index'], r['quantity']) for r in back] == [
    (0, 'entropy_trace'),
    (0, 'radius'),
    (1, 'radius'),
  ]
  assert math.isnan(back[0]['value'])  # no file holds an infinity
  schema = pq.read_table(tmp_path / 'theory.parquet').schema
  assert schema.names == [column.name for column in results.THEORY.columns]


def test_a_row_of_another_kind_is_refused(tmp_path):
  path = tmp_path / 'theory.parquet'
  with pytest.raises(ValueError, match='row lacks columns'):
    results.write_parquet(path, [make_row()], results.THEORY)
  results.write_parquet(path, [make_theory_row()], results.THEORY)
  with pytest.raises(InputError, match=r'cannot read results .*lacks columns'):
    results.read_parquet(path)


def test_theory_key_names_what_was_measured_where_and_when():
  row = make_theory_row(lane_id='ab', split='c', epoch=0, subset='train', quantity='q')
  assert results.theory_key(row) == ('ab', 'c', 0, 'train', 'q')


def test_a_workdir_may_have_nothing_yet(tmp_path):
  with pytest.raises(InputError, match=r'no theory\.parquet or theory\.jsonl in work'):
    results.read_workdir(tmp_path, results.THEORY)
  nothing = results.read_workdir(tmp_path, results.THEORY, missing_ok=True)
  assert nothing == ([], False)
  (tmp_path / 'results.jsonl').write_text('')
  with pytest.raises(InputError, match='no finished row yet in workdir'):
    results.read_workdir(tmp_path)
  assert results.read_workdir(tmp_path, missing_ok=True) == ([], False)


def test_objects_of_a_workdir(tmp_path):
  path = tmp_path / 'ladder.json'
  assert results.read_object(path) == {}
  path.write_text('{"a": 1}')
  assert results.read_object(path) == {'a': 1}
  for damage in ('{', '[1]'):
    path.write_text(damage)
    with pytest.raises(InputError, match='ladder'):
      results.read_object(path)
