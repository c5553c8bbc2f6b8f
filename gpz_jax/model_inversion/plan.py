"""A study of model inversion worked out: what is known before anything is trained."""

import dataclasses
import functools
import pathlib
from typing import Any

import flax.linen as nn
import numpy as np

from gpz_jax import checkpoints, defences, evaluators, results
from gpz_jax.attacks.model import specs
from gpz_jax.attacks.model.protocol import Attack
from gpz_jax.data import overlaps
from gpz_jax.evaluators import Evaluator, making
from gpz_jax.generators import Critic, Generator, StyleGAN2, stylegan2_weights
from gpz_jax.generators import files as generator_files
from gpz_jax.model_inversion import judges, sharing
from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.study.plan import StudyPlan, plan_study
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError, Task

# How latents of a published StyleGAN2 are drawn. Source: docs/paper.md#stylegan2.
PSI, CUTOFF = 0.5, 8


@dataclasses.dataclass(frozen=True)
class Plan(StudyPlan):
  """What a study of model inversion does.

  Attributes:
    attacks: The attacks, in the order of the config.
    classes: The T classes that are attacked, as labels.
    evaluator: Architecture of the evaluator.
    evaluator_task: The private data at the size that the evaluator takes.
    imported: The evaluator of the user's own; None trains one.
    face: The face embedding of the user's own; None measures no distances of faces.
    given: The generator of the user's own and its variables; None trains one.
    given_critic: The critic in its file and its variables; None if there is none.
  """

  config: ModelInversionConfig
  attacks: tuple[Attack, ...]
  classes: np.ndarray
  evaluator: nn.Module
  evaluator_task: Task
  imported: Evaluator | None
  face: Evaluator | None
  given: tuple[Generator, Any] | None
  given_critic: tuple[Critic, Any] | None

  @property
  def most_side(self) -> int:
    """The longest side that targets, evaluator or face embedding look at."""
    looking = [self.task.image_shape, self.evaluator_task.image_shape]
    looking += [e.image_shape for e in (self.imported, self.face) if e is not None]
    return max(side for shape in looking for side in shape[:2])

  @functools.cached_property
  def public_digest(self) -> str:
    """A checksum of the attacker's images; their labels train nothing."""
    return checkpoints.digest(self.task.aux.image)

  @property
  def total(self) -> int:
    """Rows of the finished study."""
    return len(self.lanes) * len(self.attacks)

  def missing(self, done: list[results.Row]) -> dict[Attack, list[int]]:
    """The lanes without a row in `done`, by attack, as indices."""
    have = {(row['lane_id'], row['attack']) for row in done}
    wanted = {
      attack: [
        i
        for i, lane in enumerate(self.lanes)
        if (lane.lane_id, attack.text) not in have
      ]
      for attack in self.attacks
    }
    return {attack: lanes for attack, lanes in wanted.items() if lanes}


def make_plan(config: ModelInversionConfig) -> Plan:
  """Checks everything that a study needs; writes nothing but decoded images.

  Raises:
    InputError: The data, a model, an attack, the generator or the workdir is not
      usable.
  """
  Workdir(config.workdir).check(config)
  _check_public(config)
  _check_defences(config)
  sharing.check(config)
  attacks = tuple(specs.parse(text) for text in config.attack)
  _check_ignored(config, attacks)
  study = plan_study(
    config,
    aux_dataset=config.public_dataset,
    aux_limit=config.public_limit,
    validate_on_rest=True,
  )
  _check_public_images(config, study.task)
  task = judges.load_task(config, study.task)
  imported = judges.import_evaluator(config, study.task)
  if imported is not None and study.weights is not None:
    making.check_apart(imported, [study.weights])
  classes = _choose_classes(config, study.task)
  if config.kes:
    _check_students(attacks, classes, study.task)
  common = {f.name: getattr(study, f.name) for f in dataclasses.fields(StudyPlan)}
  plan = Plan(
    **common,
    attacks=attacks,
    classes=classes,
    evaluator=judges.make_model(config, task),
    evaluator_task=task,
    imported=imported,
    face=judges.load_face(config, study.task),
    given=_load_generator(config, study.task, attacks),
    given_critic=_load_critic(config, attacks),
  )
  if (lent := sharing.find_lent_prior(config)) is not None:
    sharing.check_trained_on(lent, plan.public_digest)
  return plan


def _check_public(config: ModelInversionConfig) -> None:
  """Refuses public images that show whom the targets were trained on."""
  if config.public_dataset == config.dataset:
    raise InputError(
      f'--public_dataset={config.public_dataset} is the private dataset; name one that'
      ' shows nobody of it'
    )


def _check_ignored(config: ModelInversionConfig, attacks: tuple[Attack, ...]) -> None:
  """Refuses what would do nothing and look as if it did."""
  if config.generator_crop != 1 and config.generator is None:
    raise InputError(
      f'--generator_crop={config.generator_crop:g} is for a given --generator, and one'
      ' is trained here; leave it out'
    )
  for attack in attacks:
    has_views = any(option.startswith('views=') for option in attack.text.split(':'))
    if has_views and getattr(attack, 'adaptive', '') == 'none':
      raise InputError(
        f"attack '{attack.text}': views= averages nothing without adaptive=taa or paa;"
        ' leave it out, or give one of them'
      )


def _check_defences(config: ModelInversionConfig) -> None:
  """Refuses defences that leave the model as it is, which is all that is attacked."""
  for text in dict.fromkeys(lane.treatment.defence for lane in config.list_lanes()):
    defence = defences.parse(text)
    if defence.sends and not defence.trains and not defence.overrides('wrap'):
      raise InputError(
        f"defence '{text}' changes only what is sent, and an attacker who has the model"
        ' is sent nothing; leave it out, or ask a sweep what it is worth'
      )


def _check_public_images(config: ModelInversionConfig, task: Task) -> None:
  """Refuses public images of which most are those that the targets learn."""
  shared = overlaps.find_shared(task.aux, task.train)
  if shared.is_refused(len(task.aux)):
    raise InputError(
      f'--public_dataset={config.public_dataset}: {shared.count:,} of its'
      f' {len(task.aux):,} images are private training images of {task.name}; name one'
      ' that shows nobody of it'
    )


def _choose_classes(config: ModelInversionConfig, task: Task) -> np.ndarray:
  """The first classes that have private images to compare with."""
  known = np.unique(task.train.label)
  wanted = config.classes or len(known)
  if wanted > len(known):
    raise InputError(
      f'--classes={wanted} is more than the {len(known)} classes of {task.name}; give'
      ' fewer, or 0 for all'
    )
  return known[:wanted]


def _check_students(
  attacks: tuple[Attack, ...], classes: np.ndarray, task: Task
) -> None:
  """Refuses attacks of which no student can learn, which only --kes asks for."""
  for attack in attacks:
    try:
      evaluators.check_student(classes, attack.num_answers, task.test)
    except InputError as error:
      raise InputError(f"--kes, attack '{attack.text}': {error}") from error


def _load_generator(
  config: ModelInversionConfig, task: Task, attacks: tuple[Attack, ...]
) -> tuple[Generator, Any] | None:
  """The generator whose file is given; refuses what cannot be trained or attack."""
  found = _read_generator(config, task)
  if found is None:
    generator = config.make_prior_config().make_generator(task.image_shape)
  else:
    generator = found[0]
  for attack in attacks:
    attack.check_generator(generator, task.image_shape)
  return found


def _read_generator(
  config: ModelInversionConfig, task: Task
) -> tuple[Generator, Any] | None:
  """The generator whose file is given; None where one is trained."""
  if config.generator is None:
    return None
  path = pathlib.Path(config.generator)
  if generator_files.is_ours(path):
    generator, variables = generator_files.load(path)
    generator = _crop(generator, config)
  else:  # the layout of NVIDIA or of flaxmodels
    generator, variables = stylegan2_weights.load(
      path, psi=PSI, cutoff=CUTOFF, crop=config.generator_crop
    )
  channels = generator.image_shape[-1]
  if channels != task.image_shape[-1]:
    raise InputError(
      f'--generator={config.generator} makes images of {channels} channels, and'
      f' {task.name} has {task.image_shape[-1]}; set --channels={channels}'
    )
  return generator, variables


def _crop(generator: Generator, config: ModelInversionConfig) -> Generator:
  """A generator of a file of ours, with the crop that is asked for.

  Raises:
    InputError: It is of a kind that has none.
  """
  if config.generator_crop == 1:
    return generator
  if not isinstance(generator, StyleGAN2):
    raise InputError(
      f'--generator_crop={config.generator_crop:g} is for a StyleGAN2, and'
      f' --generator={config.generator} is another kind; leave it out'
    )
  return dataclasses.replace(generator, crop=config.generator_crop)


def _load_critic(
  config: ModelInversionConfig, attacks: tuple[Attack, ...]
) -> tuple[Critic, Any] | None:
  """The critic in the given file; refuses attacks that would find none."""
  lent = sharing.find_lent_prior(config)
  path = pathlib.Path(config.generator or lent or Workdir(config.workdir).generator)
  if not path.is_file():
    return None  # it will be trained
  critic = generator_files.load_critic(path) if generator_files.is_ours(path) else None
  asking = [attack for attack in attacks if attack.asks_critic]
  if critic is None and asking:
    way = 'leave out --generator, so that one is trained'
    if config.generator is None:
      way = 'remove the file, so that it is trained again'
      way = 'leave out --prior_from, so that one is trained' if lent else way
    option = asking[0].without_critic
    raise InputError(
      f"attack '{asking[0].text}' asks the generator's critic, and '{path}' holds none;"
      f' {way}' + (f', or give {option}' if option else '')
    )
  return critic if config.generator is not None else None
