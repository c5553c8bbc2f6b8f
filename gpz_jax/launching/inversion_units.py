"""What a study of model inversion is cut into.

One unit trains the evaluator, one the attacker's prior, and one for each seed the
targets. One for each target and attack then inverts it, and the last one merges.
"""

from typing import TYPE_CHECKING

from gpz_jax.launching import units
from gpz_jax.launching.studies import MODEL_INVERSION
from gpz_jax.launching.units import Unit
from gpz_jax.model_inversion.config import GIVEN

if TYPE_CHECKING:  # planning needs JAX, and listing must not wait for it
  from gpz_jax.model_inversion.plan import Plan


def plan_units(plan: 'Plan', per: str = 'cohort') -> list[Unit]:
  """The units of a planned study, each behind those it needs; the last one merges.

  What is given by a file or another study is no unit.

  Args:
    plan: The study, see `model_inversion.make_plan`.
    per: `cohort`: the targets of a seed, then each attack on each of them. `seed`: all
      of a seed but the evaluator and the prior, which all seeds share.
  """
  config, whole = plan.config, units.make_whole(plan.config)
  made: list[Unit] = []
  for source, file in GIVEN.items():
    kind = source.removesuffix('_from')
    if getattr(config, source) is None and getattr(config, file) is None:
      made.append(units.make(MODEL_INVERSION, kind, whole, (), kind))
  shared = tuple(unit.name for unit in made)
  if per == 'seed':
    for seed in config.seeds:
      values = whole | {'seeds': (seed,)}
      made.append(units.make(MODEL_INVERSION, 'seed', values, shared, f'seed {seed}'))
  else:
    targets = units.plan_targets(MODEL_INVERSION, config, made)
    for attack in plan.attacks:
      for lane in plan.lanes:
        treatment = lane.treatment
        values = whole | {
          'alphas': (treatment.alpha,),
          'skips': (treatment.skips,),
          'defence': (treatment.defence,),
          'treatments': (),  # they are the three above, of one lane
          'one_at_a_time': False,
          'seeds': (lane.seed,),
          'attack': (attack.text,),
        }
        needs = (*shared, *targets.get(lane.seed, ()))
        title = f'{attack.text} on {treatment}, seed {lane.seed}'
        made.append(units.make(MODEL_INVERSION, 'attack', values, needs, title))
  return [*made, units.make_merge(MODEL_INVERSION, config, made)]
