"""Units that nobody planned, and the files that they would leave."""

import json

from gpz_jax import results
from gpz_jax.launching.units import Store, Unit


def make_units(seeds: int, cohorts: int) -> list[Unit]:
  """A targets unit for each seed, then cohorts of each, then the merge."""
  targets = [
    Unit(f't{s}', 'targets', (), (), f'targets, seed {s}') for s in range(seeds)
  ]
  attacked = [
    Unit(f'c{c}x{s}', 'cohort', (), (f't{s}',), f'cohort {c}, seed {s}')
    for c in range(cohorts)
    for s in range(seeds)
  ]
  names = tuple(unit.name for unit in attacked)
  return [*targets, *attacked, Unit('m', 'merge', (), names, 'merge')]


def finish(store: Store, unit: Unit) -> None:
  """Leaves what shows that a unit is done."""
  work = store.workdir(unit.name)
  if unit.kind == 'targets':
    (work / 'targets' / '0').mkdir(parents=True)
  else:
    work.mkdir(parents=True)
    (work / 'results.jsonl').write_text('{}\n{}\n')
    (work / 'results.parquet').touch()


def write_rows(store: Store, unit: Unit, config: dict, rows: list[results.Row]) -> None:
  """Leaves rows of a unit, and the config that they are of."""
  work = store.workdir(unit.name)
  work.mkdir(parents=True)
  (work / 'config.json').write_text(json.dumps(config))
  results.append_rows(work / 'results.jsonl', rows)
  (work / 'results.parquet').touch()
