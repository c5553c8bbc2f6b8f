"""Whether a paper's findings hold in our own rows, and why."""

import dataclasses
from collections.abc import Mapping, Sequence

from gpz_jax import results, skip_text, treatments
from gpz_jax.tradeoff.alike import ALIKE, tell_difference
from gpz_jax.tradeoff.contrasts import (
  FAILS,
  HOLDS,
  UNDECIDED,
  Contrast,
  contrast,
)
from gpz_jax.tradeoff.points import removed_stage
from gpz_jax.tradeoff.published import SAME, SMALL, Finding, Paper, StudyRows
from gpz_jax.types import InputError, Treatment

COLUMN_WORDS = {
  'att_acc1': 'AttAcc@1',
  'false_positives': 'the share of false positives',
}
ASKED = {
  'falls': 'a fall of more than',
  'rises': 'a rise of more than',
  'equal': 'a change of less than',
}
_Test = tuple[str, tuple[StudyRows, Treatment], tuple[StudyRows, Treatment]]


@dataclasses.dataclass(frozen=True)
class Judged:
  """A finding and what our rows say of it.

  Attributes:
    finding: The statement.
    verdict: `holds` if it does in every contrast, `does not hold` if it fails in one,
      by an interval that is wider for their number.
    reason: Why, as a sentence.
    contrasts: Every comparison that was made, or could not be.
  """

  finding: Finding
  verdict: str
  reason: str
  contrasts: tuple[Contrast, ...]

  def sentence(self) -> str:
    """The statement, the verdict and the reason."""
    return f'{self.finding.text} {self.verdict.capitalize()}: {self.reason}'


def judge(paper: Paper, runs: Mapping[str, StudyRows]) -> list[Judged]:
  """The verdict on each finding of a paper.

  Args:
    paper: The paper, with the names of runs that `runs` has.
    runs: The rows of finished studies, by the name of their flagfile.
  """
  return [judge_finding(finding, runs) for finding in paper.findings]


def judge_finding(finding: Finding, runs: Mapping[str, StudyRows]) -> Judged:
  """The verdict on one finding, see `judge`."""
  contrasts: list[Contrast] = []
  tests: list[_Test] = []
  for first, second in finding.pairs:
    name = first if first == second else f'{first} and {second}'
    studies = gather(runs, first), gather(runs, second)
    absent = [n for n, s in zip((first, second), studies, strict=True) if not s.rows]
    if absent:
      why = f'the run {absent[0]} is missing'
      contrasts.append(
        Contrast(
          name, ', '.join(finding.before), ', '.join(finding.after), UNDECIDED, why
        )
      )
      continue
    found = _list_tests(finding, name, *studies)
    if not found:
      why = 'no treatment removes the skips of one earlier stage'
      text = ', '.join(finding.after)
      contrasts.append(Contrast(name, 'stages', text, UNDECIDED, why))
    tests += found
  contrasts += [contrast(finding, *test, comparisons=len(tests)) for test in tests]
  verdict = _combine(contrasts)
  return Judged(
    finding, verdict, _explain(finding, verdict, contrasts), tuple(contrasts)
  )


def gather(runs: Mapping[str, StudyRows], name: str) -> StudyRows:
  """The rows of all runs whose names begin with a name, as one study.

  mi_table1_densenet121 stands for itself and for mi_table1_densenet121_rolss.

  Raises:
    InputError: They are of different models or data, their evaluators or generators
      differ, or two of them hold the same lane and attack.
  """
  parts = {other: study for other, study in runs.items() if is_part(other, name)}
  _check_once(parts)
  those = [*parts.values()]
  rows = [row for study in those for row in study.rows]
  if difference := tell_difference(rows, ALIKE):
    raise InputError(
      f'runs of {name} differ in {difference}; remove those that do not belong there'
    )
  return StudyRows(rows, [row for study in those for row in study.classes])


def _check_once(parts: Mapping[str, StudyRows]) -> None:
  """Refuses copies of a run, whose seeds would count as more seeds."""
  holders: dict[tuple[str, str], str] = {}
  for name, study in parts.items():
    for row in study.rows:
      other = holders.setdefault(results.inversion_key(row), name)
      if other != name:
        raise InputError(
          f'{other} and {name} both hold {row["attack"]} on {Treatment.of(row)} with'
          f' seed {row["seed"]}, which would count twice; move one of them to another'
          ' folder'
        )


def is_part(other: str, name: str) -> bool:
  """Whether a run is one of those that a name stands for."""
  if other.endswith(SMALL) != name.endswith(SMALL):
    return False
  stem, whole = other.removesuffix(SMALL), name.removesuffix(SMALL)
  return f'{stem}_'.startswith(f'{whole}_')


def _list_tests(
  finding: Finding, name: str, first: StudyRows, second: StudyRows
) -> list[_Test]:
  """The comparisons of a finding in one study, or in two."""
  after_texts = () if finding.after == (SAME,) else finding.after
  before, after = (
    [treatment for text in texts for treatment in resolve(text, study)]
    for texts, study in ((finding.before, first), (after_texts, second))
  )
  pairs = [(b, a) for b in before for a in after]
  if not after_texts:
    pairs = [(treatment, treatment) for treatment in before]
  return [(name, (first, b), (second, a)) for b, a in pairs]


def resolve(text: str, study: StudyRows) -> list[Treatment]:
  """The treatments that a name in a finding or a table stands for in a study.

  `stages` are those of the rows that remove one earlier stage. `tts` is that of the
  rows, whatever its epochs: a short training cannot keep its skips for five of them.
  """
  known = results.list_treatments(study.rows)
  if text == 'stages':
    base = results.nearest_untreated(known)
    return [each for each in known if _removes_earlier_stage(each, base)]
  wanted = treatments.parse(text, study.rows[0]['model'])
  skips = skip_text.parse(wanted.skips)
  if wanted in known or not skips.intact_epochs:
    return [wanted]
  return [
    each
    for each in known
    if skip_text.parse(each.skips).intact_epochs
    and _without_schedule(each) == _without_schedule(wanted)
  ] or [wanted]


def _removes_earlier_stage(treatment: Treatment, baseline: Treatment) -> bool:
  stage = removed_stage(treatment, baseline)
  return stage is not None and stage < len(skip_text.parse(treatment.skips).factors)


def _without_schedule(treatment: Treatment) -> Treatment:
  return dataclasses.replace(treatment, skips=skip_text.strip_schedule(treatment.skips))


def _combine(contrasts: Sequence[Contrast]) -> str:
  """The verdict on a finding whose contrasts all have to agree."""
  found = {each.verdict for each in contrasts}
  if FAILS in found:
    return FAILS
  return HOLDS if found == {HOLDS} else UNDECIDED


def _explain(finding: Finding, verdict: str, contrasts: Sequence[Contrast]) -> str:
  """Why, by the contrast that decides it, as a sentence."""
  those = [each for each in contrasts if each.verdict == verdict]
  rest = f'{len(those)} of {len(contrasts)} comparisons'
  if verdict == UNDECIDED:
    where = those[0]
    place = '' if 'is missing' in where.why else f'in {where.run}, '
    text = f'{place}{where.why}'
    if len(contrasts) > 1:
      text += f'; {rest} are open'
    return f'{text[0].upper()}{text[1:]}.'
  where = min(those, key=lambda each: abs(each.change.mean))
  found = where.change.in_points
  words = COLUMN_WORDS.get(finding.column, finding.column)
  margin = f'{100 * finding.margin:.3g} points'
  text = (
    f'from {where.before} to {where.after} in {where.run}, {words} changes by'
    f' {found.mean:+.1f} points ({found.low:+.1f} to {found.high:+.1f} over'
    f' {found.over}), and {ASKED[finding.kind]} {margin} is asked for'
  )
  if len(contrasts) > 1:
    text += f'; {rest} say so'
  return f'{text[0].upper()}{text[1:]}.'
