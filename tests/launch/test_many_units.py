"""Ten thousand made-up units: planned, submitted (dry), listed and merged."""

import os
import subprocess
import sys

import pytest

LONGEST = 60.0  # seconds of the processor
MOST_BYTES = 2**30
# In a process of its own, whose memory and time are then known.
PROGRAM = """
import resource, sys, time
import made_up, made_up_units, tiny
from gpz_jax import results, sweep
from gpz_jax.launching import merge, slurm, states, units
from gpz_jax.study.serialization import to_json

folder = sys.argv[1]
searches = [f'rmle:tv={n}' for n in range(1, 10)]
config = tiny.sweep_config(
  folder, splits=('conv_2', 'conv_3'), attack=tuple(searches), seeds=tuple(range(527))
)
store = units.Store(folder)
began = time.process_time()

def lap(name):
  global began
  now = time.process_time()
  print(f'{name} {now - began:.1f}', flush=True)
  began = now

plan = sweep.make_plan(config)
lap('checked')
found = units.plan_units(plan)
store.write(found)
assert store.read() == found
assert len({unit.name for unit in found}) == len(found)
print('units', len(found))
lap('planned')

arrays = slurm.plan_arrays(found, [unit.name for unit in found], {})
commands = []
def pretend(command):
  commands.append(command)
  return f'{len(commands)}\\n'
slurm.submit(arrays, store, ['unit.sh'], [], pretend)
assert sum(len(array.names) for array in arrays) == len(found)
print('arrays', len(arrays))
lap('submitted')

asked = []
def answer(command):
  asked.append(command)
  return ''
queued = slurm.ask(store, answer)
table = states.format_table(states.list_states(store, found, queued))
assert len(asked) == 1 and len(table.splitlines()) == len(found) + 3
lap('listed')

whole = to_json(config)
row = made_up.make_row(status='done', doubt='', edge_flops_share=0.5, guess_mse=0.5)
for unit in found:
  if unit.kind != 'cohort':
    continue
  values = dict(flag[2:].split('=', 1) for flag in unit.flags if '=' in flag)
  seed = int(values['seeds'])
  (lane,) = [lane for lane in plan.lanes if lane.seed == seed]
  rows = []
  for split in values['splits'].split(','):
    rows.append(row | {
      'seed': seed, 'lane_id': lane.lane_id, 'split': split, 'attack': values['attack'],
      'split_index': list(plan.shapes).index(split), 'decoder': 'none',
      **lane.treatment.columns, 'model': 'cnn',
    })
  theirs = whole | {
    'seeds': [seed], 'splits': values['splits'].split(','), 'attack': [values['attack']]
  }
  made_up_units.write_rows(store, unit, theirs, rows)
lap('made')

merged = merge.merge(config, found, quiet=True)
assert merged.is_whole, (len(merged.rows), merged.total, merged.gaps[:3])
print('gaps', len(merged.gaps))
assert merged.gaps[0].startswith('527 units have not begun'), merged.gaps
assert merged.gaps[1:] == ['0 of 527 targets are there'], merged.gaps
lap('merged')
print('bytes', 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_ten_thousand_units_take_a_minute_and_a_gigabyte(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, str(tmp_path / 'big')],
    env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
    capture_output=True,
    text=True,
    check=False,
  )
  print(done.stdout)
  assert done.returncode == 0, done.stderr
  laps = dict(line.split() for line in done.stdout.splitlines())
  assert int(laps['units']) >= 10_000
  spent = [float(laps[n]) for n in ('planned', 'submitted', 'listed', 'merged')]
  assert sum(spent) < LONGEST
  assert int(laps['bytes']) < MOST_BYTES
