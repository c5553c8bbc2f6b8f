"""What a study of model inversion computes, and how long that takes two cores."""

import math
from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import jaxpr_costs
from gpz_jax.attacks.model.ppa import Ppa
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.models import calls
from gpz_jax.results.formats import align
from gpz_jax.study.estimates import TRAINING, Cost
from gpz_jax.study.progress import format_seconds

# Operations in a second, by kind of work: what `mi_small` reached on two cores with
# nothing else running (docs/reproduction.md#model-inversion-small).
SPEEDS = {'targets': 97e9, 'evaluator': 92e9, 'generator': 167e9, 'attack': 127e9}
IMAGE = tuple[int, int, int]


# What `estimate` leaves out.
UNCOUNTED = 'Compiling and scoring'


def seconds(cost: Cost) -> float:
  """How long two cores take; NaN where that is not known."""
  return math.nan if cost.flops is None else cost.flops / SPEEDS[cost.kind]


def estimate(plan: Plan) -> list[Cost]:
  """What targets, evaluator, prior and each attack cost, over all lanes."""
  image = plan.task.image_shape
  target = _forward(plan.model, image)
  return [
    *_targets(plan, target),
    *_evaluator(plan),
    *_prior(plan, image),
    *_attacks(plan, target),
  ]


def describe(costs: list[Cost]) -> str:
  """The costs as a table with their sum."""
  table = [['work', 'TFLOP', 'time']]
  known = [seconds(cost) for cost in costs if cost.flops is not None]
  for cost in costs:
    if cost.flops is None:
      table.append([cost.what, 'not known', ''])
    else:
      its = format_seconds(seconds(cost))
      table.append([cost.what, f'{cost.flops / 1e12:.3g}', its])
  total = math.fsum(known)
  return '\n'.join(
    [
      *align(table),
      f'about {format_seconds(total)} on two quiet cores, computed and not measured: at'
      ' the speed of mi_small, without compiling and scoring. Nets of many thin layers'
      ' are slower',
    ]
  )


def _targets(plan: Plan, forward: float) -> Iterator[Cost]:
  if plan.weights is not None or plan.borrowed is not None:
    return
  recipe = plan.config.make_target_recipe()
  images = TRAINING * len(plan.task.train) * recipe.epochs
  flops = len(plan.lanes) * forward * images
  yield Cost(f'{len(plan.lanes)} targets', flops, 'targets')


def _evaluator(plan: Plan) -> Iterator[Cost]:
  if plan.imported is not None or plan.config.evaluator_from is not None:
    return
  task = plan.evaluator_task
  images = TRAINING * len(task.train) * plan.config.make_evaluator_recipe().epochs
  yield Cost(
    'evaluator', _forward(plan.evaluator, task.image_shape) * images, 'evaluator'
  )


def _prior(plan: Plan, image: IMAGE) -> Iterator[Cost]:
  if plan.given is not None or plan.config.prior_from is not None:
    return
  wanted = plan.config.make_prior_config()
  generator = _generate(plan, image)
  critic, example = wanted.make_critic(image), jax.ShapeDtypeStruct((1, *image), float)
  shapes = jax.eval_shape(lambda x: critic.init(jax.random.key(0), x), example)
  judge = jaxpr_costs.count_flops(critic.apply, shapes, example)
  # The critic sees real and made images, and moves by both; the generator moves by the
  # critic's gradient. The penalty on the critic's gradient comes once in some steps.
  step = TRAINING * (3 * judge + generator) + 6 * judge / wanted.r1_every
  yield Cost('generator', wanted.steps * wanted.batch * step, 'generator')


def _attacks(plan: Plan, target: float) -> Iterator[Cost]:
  generator = _generate(plan, plan.task.image_shape)
  for attack in plan.attacks:
    what = f'{attack.text} on {len(plan.lanes)} targets'
    if not isinstance(attack, Ppa):
      yield Cost(what, None, 'attack')
      continue
    searches = len(plan.classes) * attack.candidates
    views = attack.views if attack.adaptive != 'none' else 1
    # Only gradients with respect to the image and to the latent are needed.
    of_step = 2 * (generator + views * target)
    of_lane = (
      attack.latents * (generator + 2 * target)
      + searches * attack.steps * of_step
      + searches * (generator + attack.draws * target)
    )
    yield Cost(what, len(plan.lanes) * of_lane, 'attack')


def _generate(plan: Plan, image: IMAGE) -> float:
  """Operations for one generated image."""
  if plan.given is not None:
    generator, variables = plan.given
  else:
    generator = plan.config.make_prior_config().make_generator(image)
    variables = jax.eval_shape(generator.init, jax.random.key(0))
  latent = jax.ShapeDtypeStruct((1, *generator.latent_shape), jnp.float32)
  return jaxpr_costs.count_flops(generator.images, variables, latent)


def _forward(model: nn.Module, image: IMAGE) -> float:
  """Operations of a classifier's forward pass for one image."""
  example = jax.ShapeDtypeStruct((1, *image), jnp.float32)
  variables = jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), example)

  def apply(variables, images):
    return calls.lend_keys(
      lambda rngs: model.apply(variables, images, train=False, rngs=rngs)
    )

  return jaxpr_costs.count_flops(apply, variables, example)
