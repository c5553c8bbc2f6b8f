"""What a paper on model inversion reports: its table, and its findings as tests.

Source: docs/paper.md#trade-off.
"""

import dataclasses
import os
import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from gpz_jax.results import Row
from gpz_jax.types import InputError

Kind = Literal['falls', 'rises', 'equal']
SAME = 'the same'  # stands for the treatment that it is compared with
SMALL = '_small'  # ends the names of flagfiles that two cores can run


class StudyRows(NamedTuple):
  """What a finished study found."""

  rows: list[Row]  # of results.INVERSIONS
  classes: list[Row]  # of results.CLASSES


@dataclasses.dataclass(frozen=True)
class PublishedRow:
  """A row of a table. Numbers are in percent; None where the paper gives none.

  Attributes:
    table: Number of the table.
    net: The architecture, as the paper writes it.
    run: Name of the runs that repeat it.
    treatment: Name of the treatment, see `treatments`.
    accuracy: Natural accuracy.
    att_acc: AttAcc@1.
    delta: AttAcc lost for each point of accuracy lost.
    note: What is odd about the row.
  """

  table: str
  net: str
  run: str
  treatment: str
  accuracy: float | None = None
  att_acc: float | None = None
  delta: float | None = None
  note: str = ''


@dataclasses.dataclass(frozen=True)
class Finding:
  """A statement about AttAcc, or about another column of classes, that rows can test.

  Attributes:
    name: A short name.
    text: The statement, in a sentence.
    kind: What the column does from `before` to `after`.
    column: A column of `results.CLASSES`, a share in [0, 1].
    runs: Names of the runs of `before`; the statement is about each of them.
    before: Names of treatments, see `treatments`; or `stages`, which stands for all
      that remove the skips of one stage, the last one excepted.
    after: The same; or `the same`, for the treatment of `before`.
    margin: The least change that counts, as a share.
    within: How much accuracy may change, as a share, in favour of the verdict. None
      does not look at it.
    against: Names of the runs of `after`, each for the one of `runs` in its place; ()
      where they are the same.
    of: Whose it is: the paper's, or ours.
  """

  name: str
  text: str
  kind: Kind
  column: str
  runs: tuple[str, ...]
  before: tuple[str, ...]
  after: tuple[str, ...]
  margin: float
  within: float | None = None
  against: tuple[str, ...] = ()
  of: Literal['paper', 'ours'] = 'paper'

  @property
  def pairs(self) -> tuple[tuple[str, str], ...]:
    """The runs of `before` and of `after` that belong together."""
    return tuple(zip(self.runs, self.against or self.runs, strict=True))


@dataclasses.dataclass(frozen=True)
class Paper:
  """A paper.

  Attributes:
    rows: The rows of its tables.
    findings: Its findings, and questions of ours.
    stand_ins: Name of a run -> that of the smaller one that stands for it.
  """

  rows: tuple[PublishedRow, ...]
  findings: tuple[Finding, ...]
  stand_ins: Mapping[str, str]

  def at_small_scale(self) -> 'Paper':
    """The paper with each run's stand-in; rows and findings are the same."""

    def stand_in(names: tuple[str, ...]) -> tuple[str, ...]:
      return tuple(self.stand_ins.get(name, name) + SMALL for name in names)

    rows = tuple(
      dataclasses.replace(row, run=stand_in((row.run,))[0]) for row in self.rows
    )
    findings = tuple(
      dataclasses.replace(
        finding, runs=stand_in(finding.runs), against=stand_in(finding.against)
      )
      for finding in self.findings
    )
    return Paper(rows, findings, {})

  def list_runs(self) -> list[str]:
    """The names of all runs, in the order of the file."""
    names = [row.run for row in self.rows]
    for finding in self.findings:
      names += [*finding.runs, *finding.against]
    return list(dict.fromkeys(names))


def read(path: str | os.PathLike[str]) -> Paper:
  """Reads a paper's file.

  Raises:
    InputError: It is not there, is no TOML, or lacks something.
  """
  path = pathlib.Path(path)
  try:
    content = tomllib.loads(path.read_text(encoding='utf-8'))
    rows = tuple(_make(PublishedRow, each) for each in content['row'])
    findings = tuple(_make(Finding, each) for each in content['finding'])
    paper = Paper(rows, findings, content.get('small', {}))
    _check(paper)
  except (OSError, ValueError, TypeError, LookupError) as error:
    raise InputError(
      f'{path} cannot be read as the numbers of a paper ({error}); take the one that'
      ' comes with gpz_jax'
    ) from error
  return paper


Record = TypeVar('Record', PublishedRow, Finding)


def _make(kind: type[Record], values: Mapping[str, Any]) -> Record:
  """A record of a file; lists become tuples."""
  plain: dict[str, Any] = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in values.items()
  }
  return kind(**plain)


def _check(paper: Paper) -> None:
  """Refuses findings that cannot be judged."""
  for finding in paper.findings:
    if finding.kind not in get_args(Kind):
      raise ValueError(f'{finding.name}: kind {finding.kind}')
    if not (finding.runs and finding.before and finding.after and finding.margin > 0):
      raise ValueError(f'{finding.name} is empty, or has no margin')
    if finding.against and len(finding.against) != len(finding.runs):
      raise ValueError(f'{finding.name}: against has another length than runs')
