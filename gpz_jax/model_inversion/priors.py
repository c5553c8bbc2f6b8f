"""The attacker's prior of a study: given, from its workdir or another's, or trained."""

import dataclasses
import math
import pathlib
from typing import Any

import jax
import numpy as np

from gpz_jax import checkpoints, generators, metrics
from gpz_jax.attacks.model import views
from gpz_jax.evaluators import Evaluator
from gpz_jax.generators import Critic, Generator
from gpz_jax.generators import files as generator_files
from gpz_jax.model_inversion import sharing
from gpz_jax.model_inversion.plan import Plan
from gpz_jax.study import pictures
from gpz_jax.study.session import Session
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.study.workdir import Workdir
from gpz_jax.tradeoff.doubts import OWN_GENERATOR

NUM_SAMPLES = 2048  # that the quality of a prior is measured on
PIECE = 128
SHEET = 64  # samples that are kept as a picture
SHEET_NAME = 'prior.npy'
# A generator that an attack trained itself makes no such images as the public ones if
# its distance to them is so many times that of the study's. On mi_small those that made
# faces came to 2 and 3 times, and those that made grey blobs to 12 and 20 times.
TIMES_FID = 6.0


@dataclasses.dataclass(frozen=True, eq=False)
class Prior:
  """A generator with what is to be known of it.

  Attributes:
    generator: The generator.
    variables: Its variables.
    name: How it was made, for rows.
    critic: What was trained beside it and its variables; None if nothing is known of
      it.
    fid: The Frechet distance of its samples to public images, in the features of the
      evaluator; NaN where it means nothing.
  """

  generator: Generator
  variables: Any
  name: str
  critic: tuple[Critic, Any] | None = None
  fid: float = math.nan


def obtain(session: Session[Plan], judge: Evaluator) -> Prior:
  """The prior of a study; its samples are kept as a sheet.

  Raises:
    InputError: The training diverged, or the prior that is there already was trained on
      other public images.
    Interrupted: A signal came; the training goes on from its snapshot.
  """
  prior = load(session)
  samples = _sample(session.plan, prior, NUM_SAMPLES)
  pictures.write(session.workdir.samples / SHEET_NAME, samples[:SHEET])
  public = session.plan.task.aux.image[:NUM_SAMPLES]
  found = metrics.frechet_distance(judge.features(samples), judge.features(public))
  value = math.nan if found.value is None else found.value
  reason = f' ({found.reason})' if found.reason else ''
  session.say(f'generator {prior.name}: FID {value:.3g} in evaluator features{reason}')
  return dataclasses.replace(prior, fid=value)


def load(session: Session[Plan]) -> Prior:
  """The prior of a study, of which nothing is measured yet.

  Raises:
    InputError: As of `obtain`, or the one that is to be borrowed is damaged.
    Interrupted: As of `obtain`.
  """
  return (
    _given(session) or _restored(session) or _borrowed(session) or _trained(session)
  )


def sample(
  prior: Prior, count: int, seed: int, most_side: int | None = None
) -> np.ndarray:
  """What targets are shown of images that a prior draws.

  Args:
    prior: The prior; its images are cut as its generator says.
    count: How many are drawn.
    seed: Seed of the draws.
    most_side: The longest side at which they are kept; None keeps all.

  Returns:
    [count, H, W, C] uint8.
  """
  generator = prior.generator

  @jax.jit
  def draw(variables, key):
    made = generator.images(variables, generator.sample(variables, key, PIECE))
    shown = views.cut(made, generator.centre_crop)
    return views.to_uint8(views.shrink(shown, most_side))

  keys = jax.random.split(jax.random.key(seed), -(-count // PIECE))
  drawn = [np.asarray(draw(prior.variables, key)) for key in keys]
  return np.concatenate(drawn)[:count]


def _sample(plan: Plan, prior: Prior, count: int) -> np.ndarray:
  """What a study looks at of its prior."""
  return sample(prior, count, plan.config.data_seed, plan.most_side)


def doubt_samples(
  session: Session[Plan], judge: Evaluator, prior: Prior, samples: np.ndarray
) -> list[str]:
  """Says which generators of an attack's own make no images like the public ones.

  An attack with such a generator finds nothing, whatever the target gives away.

  Args:
    session: The study.
    judge: Its evaluator, in whose features the distance is measured.
    prior: Its prior, of which as many samples are compared.
    samples: [L, S, H, W, C] uint8, what each generator draws.

  Returns:
    The doubt in short for each generator; '' where there is none.
  """
  public = judge.features(session.plan.task.aux.image[:NUM_SAMPLES])

  def distance(images: np.ndarray) -> float:
    # All are of as many images, so that they can be compared where these are few.
    found = metrics.frechet_distance(judge.features(images), public).biased
    return math.nan if found is None else found

  usual = distance(_sample(session.plan, prior, samples.shape[1]))
  own = [distance(each) for each in samples]
  return [
    f'{OWN_GENERATOR} makes no images like the public ones (FID'
    f" {each:.3g}, that of the study's generator {usual:.3g})"
    if each > TIMES_FID * usual
    else ''
    for each in own
  ]


def _given(session: Session[Plan]) -> Prior | None:
  plan = session.plan
  if plan.given is None or plan.config.generator is None:
    return None
  name = pathlib.Path(plan.config.generator).name
  return Prior(*plan.given, name, plan.given_critic)


def _restored(session: Session[Plan]) -> Prior | None:
  path = session.workdir.generator
  if not path.is_file():
    return None
  sharing.check_trained_on(path, session.plan.public_digest)
  session.say('the generator is there already')
  critic = generator_files.load_critic(path)
  return Prior(*generator_files.load(path), _name(session.plan), critic)


def _borrowed(session: Session[Plan]) -> Prior | None:
  source = session.plan.config.prior_from
  if source is None:
    return None
  session.say(f'the generator is that of {source}')
  path = Workdir(source).generator
  sharing.check_trained_on(path, session.plan.public_digest)
  found, critic = generator_files.load(path), generator_files.load_critic(path)
  trained_on = generator_files.read_trained_on(path)
  generator_files.save(session.workdir.generator, *found, critic, trained_on=trained_on)
  return Prior(*found, _name(session.plan), critic)


def _trained(session: Session[Plan]) -> Prior:
  plan = session.plan
  wanted = plan.config.make_prior_config()
  snapshots = _make_snapshots(session, str(wanted))
  with session.progress.phase('generator') as phase:
    found = generators.train_prior(
      plan.task.aux,
      wanted,
      engine=session.engine,
      on_progress=phase,
      snapshots=snapshots,
    )
  critic = (found.critic, found.critic_variables)
  path = session.workdir.generator
  generator_files.save(
    path, found.generator, found.variables, critic, trained_on=plan.public_digest
  )
  snapshots.drop()
  return Prior(found.generator, found.variables, _name(plan), critic)


def _make_snapshots(session: Session[Plan], wanted: str) -> SnapshotStore:
  """Where the training of a generator keeps its snapshots, which are of its images."""
  identity = {'generator': wanted, 'public': session.plan.public_digest}
  before = checkpoints.read_meta(session.workdir.running / 'generator') or {}
  if before.get('identity') == {'generator': wanted}:
    del identity['public']  # an earlier version began it, and goes on as it is
  return session.snapshots('generator', **identity)


def _name(plan: Plan) -> str:
  """How a prior was made, in short."""
  wanted = plan.config.make_prior_config()
  return f'{wanted.kind}:width={wanted.width}:steps={wanted.steps}'
