"""Whether a workdir is what it says it is: checksums, provenance, rows."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gpz_jax import checkpoints, results
from gpz_jax.study import pictures
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.serialization import to_flags
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Treatment

Config = TypeVar('Config', bound=StudyConfig)
Tell = Callable[[str], None]
TOLERANCE = 1e-3  # relative, between machines; named in the verdict


@dataclasses.dataclass
class Rescored:
  """How many rows were computed again, of how many that can be."""

  done: int = 0
  possible: int = 0
  inexact: int = 0  # compared within the tolerance
  measured: int = 0  # rows of which the accuracy of the target was measured again

  def sentence(self) -> str:
    """As part of another sentence."""
    how = 'bit for bit'
    if self.inexact:
      how = f'{self.inexact} of them within {TOLERANCE:g} (other conditions)'
    text = f'{self.done} of {self.possible} rows with a decoder computed again'
    if self.measured and not self.possible:
      return f'the target accuracy of {self.measured} rows measured again'
    return f'{text}, {how}' if self.done else text


@dataclasses.dataclass
class Verdict:
  """What a verification has looked at, and what it found wrong."""

  problems: list[str] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)
  num_checkpoints: int = 0
  num_rows: int = 0
  rescored: Rescored = dataclasses.field(default_factory=Rescored)

  def sentence(self) -> str:
    """What was looked at."""
    count = len(self.problems)
    wrong = {0: 'all is well', 1: 'one thing is wrong'}
    return (
      f'{self.num_checkpoints} checkpoints and {self.num_rows} rows checked,'
      f' {self.rescored.sentence()}:'
      f' {wrong.get(count, f"{count} things are wrong")}'
    )


@dataclasses.dataclass(frozen=True)
class Checks(Generic[Config]):
  """What verification must know of one kind of study.

  Attributes:
    config_type: Class of its config.
    schema: Columns of its rows.
    key: What a row is the result of.
    describe: Names a row in a message.
    check_row: Problems of a row that the config does not ask for, one line each.
    rescore: Computes a sample of the rows again and yields the differences. It is given
      the workdir, the config, the rows and the record of what was computed again.
    list_pictures: The files that the report shows, by folder.
  """

  config_type: type[Config]
  schema: results.Schema
  key: Callable[[results.Row], tuple[str, ...]]
  describe: Callable[[results.Row], str]
  check_row: Callable[[Config, results.Row], Iterator[str]]
  rescore: Callable[[Workdir, Config, list[results.Row], Rescored], Iterator[str]]
  list_pictures: Callable[
    [Workdir, list[results.Row]], dict[pathlib.Path, list[pathlib.Path]]
  ] = Workdir.list_pictures


def verify(
  workdir: Workdir, checks: Checks, *, tell: Tell = lambda problem: None
) -> Verdict:
  """Checks a workdir; writes nothing into it.

  Args:
    workdir: Folder of a study that is not running.
    checks: What is to be known of its kind.
    tell: Told of each thing that is wrong, as it is found.

  Raises:
    InputError: It is no workdir of such a study, it is being written, or its data
      cannot be loaded any more.
  """
  if not workdir.path.is_dir():
    raise InputError(f'--workdir={workdir} is not a folder; name that of a study')
  workdir.check_unlocked()
  config = workdir.read_config(checks.config_type)
  verdict = Verdict()

  def note(problems: Iterator[str]) -> None:
    for problem in problems:
      verdict.problems.append(problem)
      tell(problem)

  folders = workdir.list_checkpoints()
  verdict.num_checkpoints = len(folders)
  for folder in folders:
    note(iter(checkpoints.find_damage(folder)))
  note(_check_identity(workdir, config))
  rows: list[results.Row] = []
  note(_read_rows(workdir, checks, rows))
  verdict.num_rows = len(rows)
  for row in rows:
    note(_check_lane(config, checks, row))
    note(checks.check_row(config, row))
  is_sound = not verdict.problems
  shown = checks.list_pictures(workdir, rows)
  note(_check_pictures(shown, config.word, verdict.notes))
  verdict.notes.extend(_notes(workdir, checks.schema, config.word, rows))
  if rows and is_sound:  # else there is nothing to compare with
    note(checks.rescore(workdir, config, rows, verdict.rescored))
  return verdict


def _check_identity(workdir: Workdir, config: StudyConfig) -> Iterator[str]:
  """What is wrong with the files that say what ran."""
  ours, theirs = to_flags(config).splitlines(), []
  if workdir.flags.is_file():
    text = workdir.flags.read_text(encoding='utf-8', errors='replace')
    theirs = text.splitlines()
  strange = [line for line in theirs if line not in ours]
  # The folder may have been moved since.
  if any(not line.startswith('--workdir=') for line in strange) or (
    len(ours) != len(theirs)
  ):
    yield f'config.json and run.flags are of different {config.word}s'
  try:
    env = results.read_object(workdir.environment)
  except InputError as error:
    yield str(error)
    return
  if wanting := [name for name in ('versions', 'device_kind') if name not in env]:
    yield f'env.json does not say {wanting[0]}'
  if workdir.targets.is_dir():
    meta = checkpoints.read_meta(workdir.targets)
    ids = [lane.lane_id for lane in config.list_lanes()]
    if meta is not None and meta['lanes'] != ids:
      yield 'targets/ holds other targets than config.json names'


def _read_rows(
  workdir: Workdir, checks: Checks, into: list[results.Row]
) -> Iterator[str]:
  """Reads the rows; what is wrong with their files."""
  schema, table = checks.schema, workdir.table(checks.schema)
  lines = workdir.lines(schema).name
  try:
    into += workdir.read_rows(schema)
    finished = results.read_parquet(table, schema) if table.exists() else None
  except InputError as error:
    yield str(error)
    return
  if finished is None:
    return
  written = {checks.key(row): row for row in into}
  if len(written) != len(into):
    yield f'{lines} holds a row twice'
  if written.keys() != {checks.key(row) for row in finished}:
    yield f'{table.name} and {lines} hold different rows'
    return
  for row in finished:
    yield from (
      f'{checks.describe(row)}: {column} is {value!r} in {table.name} and'
      f' {written[checks.key(row)][column]!r} in {lines}'
      for column, value in row.items()
      if repr(value) != repr(written[checks.key(row)][column])  # NaN is NaN
    )


def _check_lane(config: StudyConfig, checks: Checks, row: results.Row) -> Iterator[str]:
  """Whether the target of a row is one that the config asks for."""
  lane = {lane.lane_id: lane for lane in config.list_lanes()}.get(row['lane_id'])
  if lane is None:
    yield f'{checks.describe(row)} is no lane of config.json'
  elif (lane.treatment, lane.seed) != (Treatment.of(row), row['seed']):
    yield f'{checks.describe(row)}: lane_id is that of {lane}'


def _check_pictures(
  shown: dict[pathlib.Path, list[pathlib.Path]], word: str, notes: list[str]
) -> Iterator[str]:
  """Pictures that are not what was written; those without a checksum are noted."""
  unknown = 0
  for folder, paths in shown.items():
    try:
      checksums = pictures.read_checksums(folder)
    except InputError as error:
      yield str(error)
      continue
    named = {folder / name for name in checksums}
    for path in sorted(named.union(paths)):
      state = pictures.find_state(path, checksums)
      if path not in named:
        unknown += 1
      elif state != 'intact':
        yield (
          f'picture {folder.name}/{path.name} is {state}; repeat the {word} to have it'
          ' made again'
        )
  if unknown:
    notes.append(f'{unknown} pictures are not checksummed')


def _notes(
  workdir: Workdir, schema: results.Schema, word: str, rows: list[results.Row]
) -> Iterator[str]:
  """What is no damage, but should be known."""
  if not workdir.table(schema).exists():
    yield f'the {word} is not finished: {len(rows)} rows so far'
  for version in sorted({row['version'] for row in rows}):
    count = sum(row['version'] == version for row in rows)
    if count < len(rows):
      yield f'{count} of {len(rows)} rows were computed by gpz_jax {version}'
  if changed := sum(bool(row['changed']) for row in rows):
    yield f'{changed} of {len(rows)} rows were finished under other conditions'
