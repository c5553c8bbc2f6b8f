"""Where to cut: the golden zone of a sweep, and the best cut under limits.

All functions take plain rows (`gpz_jax.results`) of one sweep, complete or not. They
judge means over seeds, and where a split was attacked in several ways, the strongest
attack. The prediction is no place to cut: sending it leaves nothing for the cloud.

  golden_zone   where the attack's error jumps
  recommend     the cut to take under limits, and its alternatives
  vote          the attack, the class radius and the entropy bound on where it begins
  probe         the same without any attack
  agreement     how often the probe named the attack's split; and over several sweeps
"""

from gpz_jax.zone.advice import Recommendation
from gpz_jax.zone.bars import Bar
from gpz_jax.zone.bounds import read_bounds
from gpz_jax.zone.candidates import SAME, Candidate, pareto_front
from gpz_jax.zone.comparison import Agreement, agreement, agreement_by_model
from gpz_jax.zone.golden_zone import TreatmentZone, Zone, golden_zone
from gpz_jax.zone.limits import LIMITS
from gpz_jax.zone.recommendation import recommend
from gpz_jax.zone.tables import format_agreements, format_candidates, format_votes
from gpz_jax.zone.voters import probe, vote
from gpz_jax.zone.votes import TreatmentVotes, Vote, Votes

__all__ = [
  'LIMITS',
  'SAME',
  'Agreement',
  'Bar',
  'Candidate',
  'Recommendation',
  'TreatmentVotes',
  'TreatmentZone',
  'Vote',
  'Votes',
  'Zone',
  'agreement',
  'agreement_by_model',
  'format_agreements',
  'format_candidates',
  'format_votes',
  'golden_zone',
  'pareto_front',
  'probe',
  'read_bounds',
  'recommend',
  'vote',
]
