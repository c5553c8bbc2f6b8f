"""Hurts sweeps at random, over and over, and counts what became of them.

  make soak          200 interruptions and corruptions, an hour or two on two cores

Processes are killed and signalled at random moments; between two runs files of
checkpoints are flipped, truncated and deleted and the last row is torn. Every sweep is
then run to its end and compared with an undisturbed one, bit for bit, and one file of
its decoders is damaged for `experiments.verify` to find. Exit status 1: a difference.
"""

import argparse
import collections
import pathlib
import random
import signal
import sys
import tempfile
import time

from damage import flip_bit, truncate
from faults import harness

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
ATTACKS = f'{harness.TINY["attack"]},query_free:steps=100:images=2:at=sum'


def damage(folders: list[pathlib.Path], rng: random.Random) -> str | None:
  """Flips, truncates or deletes a file in folders; says which way, None without any."""
  paths = sorted(path for folder in folders for path in folder.rglob('*'))
  paths = [path for path in paths if path.is_file() and path.stat().st_size]
  if not paths:
    return None
  path, way = rng.choice(paths), rng.choice(('flipped', 'truncated', 'deleted'))
  data = path.read_bytes()
  if way == 'deleted':
    path.unlink()
  else:
    change = flip_bit if way == 'flipped' else truncate
    path.write_bytes(change(rng, data))
  return way


def tear(workdir: pathlib.Path, rng: random.Random) -> bool:
  """Takes the end off the last row, as a kill in the middle of a write does."""
  path = workdir / 'results.jsonl'
  if not path.exists() or not path.stat().st_size:
    return False
  path.write_bytes(path.read_bytes()[: -rng.randint(1, 100)])
  (workdir / 'results.parquet').unlink(missing_ok=True)
  return True


def hurt_once(workdir, rng, longest, counts) -> int:
  """Runs a sweep until a signal, or its end; then perhaps damages what it left."""
  number = rng.choice(SIGNALS)
  status = harness.hurt(workdir, number, rng, longest, attack=ATTACKS)
  counts[f'ended with {status} of {number.name}' if status else 'finished'] += 1
  if status == 0:
    return status
  counts['hurts'] += 1
  if rng.random() < 0.4:
    way = damage([workdir / 'targets', workdir / 'running'], rng)
    if way:
      counts['hurts'] += 1
      counts[f'file of a checkpoint {way}'] += 1
  elif rng.random() < 0.1 and tear(workdir, rng):
    counts['hurts'] += 1
    counts['last row torn'] += 1
  return status


def check(workdir, wanted, rng, counts) -> bool:
  """Whether a sweep that was run to its end is what it would have been."""
  different = harness.differences(harness.metrics(workdir), wanted)
  for line in different[:5]:
    print(f'{workdir}: {line}')
  counts['sweeps compared'] += 1
  counts['sweeps that differ'] += bool(different)
  damage([workdir / 'decoders'], rng)
  counts['hurts'] += 1
  run = harness.verify(workdir, '--sample=100')
  status = run.finish()
  counts[{0: 'damage of decoders harmless', 1: 'damage of decoders found'}[status]] += 1
  return not different


def main() -> int:
  """Hurts sweeps until there were enough; prints the counts."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--hurts', type=int, default=200)
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  rng, counts, equal = random.Random(options.seed), collections.Counter(), True
  began = time.monotonic()
  with tempfile.TemporaryDirectory(prefix='gpz_jax_soak_') as name:
    folder = pathlib.Path(name)
    for kind in ('undisturbed', 'again'):  # the second with everything compiled
      start = time.monotonic()
      run = harness.sweep(folder / kind, attack=ATTACKS)
      assert run.finish() == 0, run.error
    longest = time.monotonic() - start
    wanted = harness.metrics(folder / 'undisturbed')
    while counts['hurts'] < options.hurts:
      workdir = folder / str(counts['sweeps compared'])
      while hurt_once(workdir, rng, longest, counts):
        pass
      equal &= check(workdir, wanted, rng, counts)
      print(f'{counts["hurts"]} of {options.hurts}', flush=True)
  for what, count in sorted(counts.items()):
    print(f'{count:6d}  {what}')
  print(f'{(time.monotonic() - began) / 60:.0f} minutes')
  return 0 if equal else 1


if __name__ == '__main__':
  sys.exit(main())
