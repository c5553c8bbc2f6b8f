"""What can be said of both threats, in sentences."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from gpz_jax.results.formats import join_words
from gpz_jax.threats.crossing import (
  LEAKS,
  MODEL,
  OPEN,
  PROTECTS,
  SAME_TREATMENTS,
  Crossed,
  Crossing,
  Effect,
)
from gpz_jax.tradeoff.answer import (
  MORE_CLASSES,
  MORE_SEEDS,
  NO_CONCLUSION,
  format_points,
)

MOST_NAMED = 2  # treatments, and splits of each, that a headline names


@dataclasses.dataclass(frozen=True)
class Conclusion:
  """What the effects say, in sentences without a full stop.

  Attributes:
    headline: Which treatments protect against which threat and what they cost, or that
      nothing can be concluded.
    findings: What is told of each threat, the splits in forward order; empty where
      there is nothing to compare with.
    advice: What to run to learn more; '' where every effect is told or doubtful.
    doubts: Why effects are doubtful, each once.
  """

  headline: str
  findings: Mapping[str, tuple[str, ...]]
  advice: str
  doubts: tuple[str, ...]


def conclude(crossing: Crossing) -> Conclusion:
  """What can be said of each threat, and of both."""
  others = crossing.treatments[1:]
  effects = [effect for each in crossing.treatments for effect in each.effects]
  doubts = tuple(dict.fromkeys(effect.doubt for effect in effects if effect.doubt))
  if not others:
    told = f'There is no treatment beside {crossing.baseline} to compare with'
    return Conclusion(told, {}, f'To compare, {SAME_TREATMENTS}', doubts)
  findings = {
    threat: tuple(_tell_threat(crossing, number, threat))
    for number, threat in enumerate((*crossing.splits, MODEL))
  }
  return Conclusion(_make_headline(others), findings, _advise(others), doubts)


def _tell_threat(crossing: Crossing, number: int, threat: str) -> Iterable[str]:
  """What treatments do to one threat: the effect of that number of each."""
  named = threat if threat == MODEL else f'activation inversion at {threat}'
  effects = [(each, each.effects[number]) for each in crossing.treatments[1:]]
  for verdict, words in ((PROTECTS, 'protect'), (LEAKS, 'leak more')):
    those = [_describe(each, e) for each, e in effects if e.verdict == verdict]
    if those:
      yield f'Under {named}, these {words}: {join_words(those)}'
  if not any(effect.verdict in (PROTECTS, LEAKS) for _, effect in effects):
    yield f'Under {named}, no treatment can be told from {crossing.baseline}'


def _make_headline(others: Sequence[Crossed]) -> str:
  """The answer in one sentence, which names the cheapest treatments first."""
  verdicts = {effect.verdict for each in others for effect in each.effects}
  both = [each for each in others if _protects_against_both(each)]
  if both:
    return f'These protect against both threats: {_name(both, PROTECTS)}'
  told = 'No treatment was shown to protect against'
  if PROTECTS in verdicts:
    in_part = _name(others, PROTECTS)
    return f'{told} both threats; these protect in part: {in_part}'
  if LEAKS in verdicts:
    return f'{told} either threat; these leak more: {_name(others, LEAKS)}'
  return NO_CONCLUSION


def _protects_against_both(each: Crossed) -> bool:
  """Whether it protects against model inversion and at a split, and leaks nowhere."""
  verdicts = {effect.threat: effect.verdict for effect in each.effects}
  model = verdicts.pop(MODEL)
  splits = verdicts.values()
  return model == PROTECTS and PROTECTS in splits and LEAKS not in splits


def _name(treatments: Sequence[Crossed], verdict: str) -> str:
  """The treatments that have a verdict somewhere, each with where and at which cost."""
  found = [(_select(each, verdict), each) for each in treatments]
  found = [(effects, each) for effects, each in found if effects]
  found.sort(key=lambda pair: _most_lost(pair[0]))
  names = [
    f'{each.treatment} ({_tell_places(each, verdict)}, for {_tell_cost(effects)}'
    f'{_tell_leaks(each, verdict)})'
    for effects, each in found[:MOST_NAMED]
  ]
  more = len(found) - len(names)
  return join_words([*names, f'{more} more'] if more else names)


def _tell_leaks(each: Crossed, verdict: str) -> str:
  """Where a treatment leaks more that protects elsewhere; '' of others."""
  if verdict == LEAKS or not _select(each, LEAKS):
    return ''
  return f', but leaks more {_tell_places(each, LEAKS)}'


def _tell_places(each: Crossed, verdict: str) -> str:
  """Where a treatment has a verdict: 'at a and b', or 'at 5 of 10 splits'."""
  threats = [effect.threat for effect in _select(each, verdict)]
  splits, count = [t for t in threats if t != MODEL], len(each.effects) - 1
  places = []
  if len(splits) == count > MOST_NAMED:
    places.append('at every split')
  elif len(splits) > MOST_NAMED:
    places.append(f'at {len(splits)} of {count} splits')
  elif splits:
    places.append(f'at {join_words(splits)}')
  # Of those that protect against both threats the headline says so already.
  if MODEL in threats and not (verdict == PROTECTS and _protects_against_both(each)):
    places.append(f'under {MODEL}')
  return join_words(places)


def _select(each: Crossed, verdict: str) -> list[Effect]:
  return [effect for effect in each.effects if effect.verdict == verdict]


def _most_lost(effects: Sequence[Effect]) -> float:
  return max(effect.cost.mean for effect in effects)


def _tell_cost(effects: Sequence[Effect]) -> str:
  """What effects cost at most, which differs where a defence changes what is sent."""
  most = _most_lost(effects)
  if not most > 0:
    return 'no loss of accuracy'
  told = {format_points(effect.cost.mean) for effect in effects}
  return f'{"up to " if len(told) > 1 else ""}{format_points(most)} of accuracy'


def _describe(each: Crossed, effect: Effect) -> str:
  """A treatment with what it does and costs: 'skips 1110 (error +22%, ...)'."""
  change = effect.change.in_points.mean
  told = f'error {change:+.0f}%'
  if effect.threat == MODEL:
    told = f'AttAcc@1 {-change:+.1f} points'
  return f'{each.treatment} ({told}, for {_tell_cost([effect])})'


def _advise(others: Sequence[Crossed]) -> str:
  """What to run where effects cannot be told; '' where there are none."""
  effects = [effect for each in others for effect in _select(each, OPEN)]
  if not effects:
    return ''
  is_model = any(effect.threat == MODEL for effect in effects)
  return f'To tell more, {MORE_SEEDS}{f" or {MORE_CLASSES}" if is_model else ""}'
