"""The words that a recommendation is made of: what a cut costs, and how sure it is."""

import math
from collections.abc import Sequence

from gpz_jax import results
from gpz_jax.results import Row
from gpz_jax.results.formats import format_bytes
from gpz_jax.types import Treatment
from gpz_jax.zone import rules
from gpz_jax.zone.candidates import Candidate
from gpz_jax.zone.golden_zone import TreatmentZone, Zone
from gpz_jax.zone.profiles import attack_profile


def describe(choice: Candidate) -> str:
  """What a cut resists and what it costs."""
  module = choice.place.removeprefix(choice.split).strip(' ()').removeprefix('a ')
  return ', '.join(
    filter(
      None,
      [
        module,
        _scores(choice),
        f'{choice.edge_params_share:.1%} of the parameters and '
        f'{choice.edge_flops_share:.1%} of the FLOPs on the device',
        f'{format_bytes(choice.payload_bytes)} sent for each image',
        f'{choice.target_accuracy:.1%} test accuracy',
      ],
    )
  )


def _scores(choice: Candidate) -> str:
  likeness = choice.test_ssim
  ssim = f', SSIM {likeness:.3g}' if math.isfinite(likeness) else ''
  return f'MSE {choice.test_mse:.3g}, PSNR {choice.test_psnr:.1f} dB{ssim}'


def place(choice: Candidate, zone: Zone) -> str:
  """Where the choice lies against the golden zone of its treatment."""
  found = zone_of(zone, choice)
  if found.doubts:
    return f'where the golden zone starts is open, because {found.doubts[0]}'
  if found.jump_to is None:
    name = _name(choice.treatment)
    return f'fewer than two splits of this {name} have a result, so no zone is known'
  if found.start_index is None:
    return f'this {_name(choice.treatment)} has no golden zone'
  if choice.split_index < found.start_index:
    return f'it lies before the golden zone, which starts at {found.split}'
  if choice.split in found.falls_back:
    return f'the golden zone starts at {found.split}, but this split falls back'
  return f'it lies in the golden zone, which starts at {found.split}'


def zone_of(zone: Zone, candidate: Candidate) -> TreatmentZone:
  """The zone of a candidate's treatment."""
  return next(one for one in zone.treatments if one.treatment == candidate.treatment)


def _name(treatment: Treatment) -> str:
  """What 'this ...' means: the alpha, where that is all there is to the treatment."""
  return 'alpha' if treatment == type(treatment)(treatment.alpha) else 'treatment'


def count_zone_seeds(choice: Candidate, zone: Zone, rows: Sequence[Row]) -> str:
  """In how many seeds the zone starts where it does on average, in a sentence."""
  splits = tuple(results.list_splits(rows))
  profile = attack_profile(rows, choice.treatment, zone.metric, splits)
  if len(profile.seeds) < 2:
    return 'This is one seed; whether the zone starts there in others is open.'
  starts = [
    rules.first_jump(profile.of_seed(seed).tolist(), zone.ratio, zone.threshold)
    for seed in profile.seeds
  ]
  same = sum(
    start is not None and splits[start.index] == choice.split for start in starts
  )
  return f'The zone starts there in {same} of {len(starts)} seeds.'
