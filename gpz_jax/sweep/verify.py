"""Whether a workdir is what it says it is: checksums, provenance, rows."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator

from gpz_jax import checkpoints, results
from gpz_jax.study.serialization import to_flags
from gpz_jax.sweep import workdir as workdir_lib
from gpz_jax.sweep.config import SweepConfig, target_lanes
from gpz_jax.sweep.reevaluate import Recomputed, describe, reevaluate
from gpz_jax.types import InputError, Treatment

Tell = Callable[[str], None]


@dataclasses.dataclass
class Verdict:
  """What a verification has looked at, and what it found wrong."""

  problems: list[str] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)
  num_checkpoints: int = 0
  num_rows: int = 0
  recomputed: Recomputed = dataclasses.field(default_factory=Recomputed)

  def sentence(self) -> str:
    """What was looked at."""
    count = len(self.problems)
    wrong = {0: 'all is well', 1: 'one thing is wrong'}
    return (
      f'{self.num_checkpoints} checkpoints and {self.num_rows} rows checked,'
      f' {self.recomputed.sentence()}:'
      f' {wrong.get(count, f"{count} things are wrong")}'
    )


def verify(
  workdir: pathlib.Path, *, sample: int = 4, tell: Tell = lambda problem: None
) -> Verdict:
  """Checks a workdir; writes nothing into it.

  Args:
    workdir: of a sweep that is not running.
    sample: rows, drawn at random but always the same ones, whose scores are computed
      again from their decoder's checkpoint.
    tell: told of each thing that is wrong, as it is found.

  Raises:
    InputError: no workdir of a sweep, one that is being written, or its data cannot be
      loaded any more.
  """
  if not workdir.is_dir():
    raise InputError(f'--workdir={workdir} is not a folder; name that of a sweep')
  workdir_lib.check_unlocked(workdir)
  config = workdir_lib.read_config(workdir)
  verdict = Verdict()

  def note(problems: Iterator[str]) -> None:
    for problem in problems:
      verdict.problems.append(problem)
      tell(problem)

  folders = _list_checkpoints(workdir)
  verdict.num_checkpoints = len(folders)
  for folder in folders:
    note(iter(checkpoints.find_damage(folder)))
  note(_check_identity(workdir, config))
  rows: list[results.Row] = []
  note(_read_rows(workdir, rows))
  verdict.num_rows = len(rows)
  note(_check_rows(config, rows))
  verdict.notes.extend(_notes(workdir, rows))
  if rows and not verdict.problems:  # else there is nothing to compare with
    note(reevaluate(workdir, config, rows, sample, verdict.recomputed))
  return verdict


def _list_checkpoints(workdir: pathlib.Path) -> list[pathlib.Path]:
  """The folders that hold a step; a kill during the first one leaves none."""
  folders = [workdir / 'targets']
  for name in ('decoders', 'running'):
    folders += sorted((workdir / name).glob('*'))
  return [folder for folder in folders if checkpoints.has_step(folder)]


def _check_identity(workdir: pathlib.Path, config: SweepConfig) -> Iterator[str]:
  """What is wrong with the files that say what ran."""
  path = workdir / 'run.flags'
  ours, theirs = to_flags(config).splitlines(), []
  if path.is_file():
    theirs = path.read_text(encoding='utf-8', errors='replace').splitlines()
  strange = [line for line in theirs if line not in ours]
  # The folder may have been moved since.
  if any(not line.startswith('--workdir=') for line in strange) or (
    len(ours) != len(theirs)
  ):
    yield 'config.json and run.flags are of different sweeps'
  try:
    env = results.read_object(workdir / 'env.json')
  except InputError as error:
    yield str(error)
    return
  if wanting := [name for name in ('versions', 'device_kind') if name not in env]:
    yield f'env.json does not say {wanting[0]}'
  if (workdir / 'targets').is_dir():
    meta = checkpoints.read_meta(workdir / 'targets')
    ids = [lane.lane_id for lane in target_lanes(config)]
    if meta is not None and meta['lanes'] != ids:
      yield 'targets/ holds other targets than config.json names'


def _read_rows(workdir: pathlib.Path, into: list[results.Row]) -> Iterator[str]:
  """Reads the rows; what is wrong with their files."""
  lines, table = workdir / 'results.jsonl', workdir / 'results.parquet'
  try:
    if lines.exists():
      into += results.read_rows(lines)
    finished = results.read_parquet(table) if table.exists() else None
  except InputError as error:
    yield str(error)
    return
  if finished is None:
    return
  written = {results.row_key(row): row for row in into}
  if len(written) != len(into):
    yield 'results.jsonl holds a row twice'
  if written.keys() != {results.row_key(row) for row in finished}:
    yield 'results.parquet and results.jsonl hold different rows'
    return
  for row in finished:
    yield from (
      f'{describe(row)}: {column} is {value!r} in results.parquet and'
      f' {written[results.row_key(row)][column]!r} in results.jsonl'
      for column, value in row.items()
      if repr(value) != repr(written[results.row_key(row)][column])  # NaN is NaN
    )


def _check_rows(config: SweepConfig, rows: list[results.Row]) -> Iterator[str]:
  """Rows that the config does not ask for."""
  lanes = {lane.lane_id: lane for lane in target_lanes(config)}
  for row in rows:
    lane = lanes.get(row['lane_id'])
    if lane is None:
      yield f'{describe(row)} is no lane of config.json'
    elif (lane.treatment, lane.seed) != (Treatment.of(row), row['seed']):
      yield f'{describe(row)}: lane_id is that of {lane}'
    for column, allowed in (
      ('model', (config.model,)),
      ('attack', config.attack),
      ('selection', (config.selection,)),
    ):
      if row[column] not in allowed:
        yield f'{describe(row)}: {column} {row[column]!r} is not in config.json'


def _notes(workdir: pathlib.Path, rows: list[results.Row]) -> Iterator[str]:
  """What is no damage, but should be known."""
  if not (workdir / 'results.parquet').exists():
    yield f'the sweep is not finished: {len(rows)} rows so far'
  for version in sorted({row['version'] for row in rows}):
    count = sum(row['version'] == version for row in rows)
    if count < len(rows):
      yield f'{count} of {len(rows)} rows were computed by gpz_jax {version}'
  if changed := sum(bool(row['changed']) for row in rows):
    yield f'{changed} of {len(rows)} rows were finished under other conditions'
