"""Treatments as a sentence has them: 'removing the skips of the last stage'."""

from collections.abc import Sequence

from gpz_jax import skip_text
from gpz_jax.results.formats import join_words
from gpz_jax.types import Treatment


def phrase(treatment: Treatment, baseline: Treatment) -> str:
  """What is done to a target, as the subject of a sentence that begins small.

  Args:
    treatment: The treatment.
    baseline: What it is compared with: only what differs is named.
  """
  parts = []
  if treatment.skips != baseline.skips:
    parts.append(phrase_skips(treatment.skips))
  if treatment.alpha != baseline.alpha:
    parts.append(f'label smoothing of {treatment.alpha:g}')
  if treatment.defence != baseline.defence:
    parts.append(f'the defence {treatment.defence}')
  return join_words(parts) if parts else str(treatment)


def label(treatment: Treatment, baseline: Treatment) -> str:
  """A treatment in a table or a legend: only what differs from the baseline."""
  if treatment == Treatment():
    return 'untreated'
  text = str(treatment)
  if treatment != baseline and treatment.alpha == baseline.alpha:
    text = text.removeprefix(f'alpha {treatment.alpha:g}, ')
  return text


def phrase_skips(text: str) -> str:
  """Skip factors in words; `text` is of the form of `skip_text`."""
  skips = skip_text.parse(text)
  groups: dict[str, list[int]] = {}
  stages = zip(skips.factors, skips.is_learned, strict=True)
  for stage, (factor, is_learned) in enumerate(stages, start=1):
    if is_learned:
      groups.setdefault('learning the factor of', []).append(stage)
    elif factor == 0:
      groups.setdefault('removing', []).append(stage)
    elif factor != 1:
      groups.setdefault(f'scaling by {factor:g}', []).append(stage)
  if not groups:
    return 'keeping all skips'
  part = f'{skips.part} ' if skips.part else ''
  found = [
    f'{verb} {_name_stages(stages, len(skips.factors), part)}'
    for verb, stages in groups.items()
  ]
  when = f' from epoch {skips.intact_epochs + 1} on' if skips.intact_epochs else ''
  return join_words(found) + when


def _name_stages(stages: Sequence[int], count: int, part: str) -> str:
  if len(stages) == count:
    return f'all {part}skips'
  if list(stages) == [count]:
    return f'the {part}skips of the last stage'
  word = 'stage' if len(stages) == 1 else 'stages'
  return f'the {part}skips of {word} {join_words([*map(str, stages)])}'
