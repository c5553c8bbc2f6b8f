"""ModelInversionConfig: what a study of model inversion can be told."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from gpz_jax import vocabulary
from gpz_jax.study import fields
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.fields import COUNT, SEED, Range, field
from gpz_jax.study.model_options import parse_model_options
from gpz_jax.study.target_config import BATCH, LEARNING_RATE
from gpz_jax.training.recipe import TARGET_RECIPES, Recipe

if TYPE_CHECKING:  # JAX takes seconds to import, and --help must not wait for it
  from gpz_jax.generators import PriorConfig


# What a study can take of another, and the field that names a file of it instead.
GIVEN = {'evaluator_from': 'evaluator_weights', 'prior_from': 'generator'}


@dataclasses.dataclass(frozen=True)
class ModelInversionConfig(StudyConfig):
  """One study of model inversion. None means: as the dataset or the recipe says."""

  word: ClassVar[str] = 'study'

  workdir: str = field(
    'runs/model_inversion', 'Folder for everything that the study writes.', 'speed'
  )
  dataset: str = field(
    'portraits/private32_50x60',
    'Private dataset, which the targets and the evaluator are trained on.',
    'targets',
  )
  model: str = field(
    'resnet18',
    f'Architecture of the targets: {", ".join(vocabulary.MODELS)}, or'
    ' package.module:factory.',
    'targets',
  )
  alphas: tuple[float, ...] = field(
    (0.0,),
    'Label smoothing of the targets, in (-1, 1).',
    'rows',
    range=Range(-1.0, 1.0, excludes_least=True),
    is_set=True,
  )
  public_dataset: str = field(
    'portraits/public32',
    "Dataset of the attacker's images, which shows nobody of the private one. A folder"
    ' of images needs no classes. The default is for portraits; other private data'
    ' needs public images of its own kind.',
    'rows',
  )
  public_limit: int | None = field(
    None, "Largest number of the attacker's images.", 'rows', range=COUNT
  )
  classes: int = field(
    20,
    'Number of classes to attack, which are the first ones. 0 attacks all.',
    'rows',
    range=Range(0, 2**31),
  )
  attack: tuple[str, ...] = field(
    ('ppa:preset=small',),
    f'Attacks: {", ".join(vocabulary.MODEL_ATTACKS)}, or package.module:factory. Each'
    ' may have options, as in ppa:preset=small:adaptive=taa.',
    'rows',
    is_set=True,
  )

  tune: bool = field(  # of every study, but only a sweep can do it
    False, 'Is for sweeps, and refused here.', 'speed'
  )

  generator: str | None = field(
    None,
    'File with the weights of the generator. If it is not set, one is trained on the'
    ' public images.',
    'rows',
  )
  generator_crop: float = field(
    1.0,
    'Share of both sides of the images of a StyleGAN2 that targets are shown, cut from'
    ' the centre. For the published nets of faces it is 0.78 (800 of 1024 pixels).',
    'rows',
    range=Range(0.0, 1.0 + 1e-9, excludes_least=True),
  )
  prior_steps: int | None = field(
    None,
    'Steps that the generator is trained for, where one is trained.',
    'rows',
    range=COUNT,
  )
  prior_width: int | None = field(
    None,
    'Width of the generator, where one is trained.',
    'rows',
    range=Range(1, 1025),
  )
  prior_from: str | None = field(
    None,
    'Workdir of a study that trained the same generator, to attack with that.',
    'speed',
  )

  evaluator: str = field(
    'vgg11',
    'Architecture of the evaluator, which should not be that of the targets.',
    'rows',
  )
  evaluator_options: tuple[str, ...] = field(
    (), 'Options of the evaluator as key=value, such as width=0.25.', 'rows'
  )
  evaluator_weights: str | None = field(
    None,
    'File with the weights of the evaluator; none is trained then.',
    'rows',
  )
  evaluator_from: str | None = field(
    None,
    'Workdir of a study that trained the same evaluator, to judge with that.',
    'speed',
  )
  evaluator_size: int | None = field(
    None,
    'Side that images are resized to for the evaluator; that of the targets if it is'
    ' not set.',
    'rows',
    range=Range(11, 1025),
  )
  evaluator_recipe: str = field(
    'evaluator',
    "How the evaluator is trained; auto takes the recipe of its model's family.",
    'rows',
    choices=('auto', *TARGET_RECIPES),
  )
  evaluator_epochs: int | None = field(
    None, 'Epochs that the evaluator is trained for.', 'rows', range=COUNT
  )
  evaluator_batch_size: int | None = field(
    None, 'Batch size of the evaluator.', 'rows', range=BATCH
  )
  evaluator_learning_rate: float | None = field(
    None, 'Learning rate of the evaluator.', 'rows', range=LEARNING_RATE
  )
  evaluator_seed: int = field(
    1000, 'Seed of the evaluator, which no target may have.', 'rows', range=SEED
  )
  face_embedding: str | None = field(
    None,
    'File with the weights of a face embedding (InceptionResnetV1 of facenet-pytorch),'
    ' in whose features delta_face is measured. If it is not set, rows have none.',
    'rows',
  )
  sure: float = field(
    0.9,
    'Confidence of the target from which a reconstruction that the evaluator gives to'
    ' another class is a false positive.',
    'rows',
    range=Range(0.0, 1.0, excludes_least=True),
  )
  kes: bool = field(
    False,
    'Train a student on the reconstructions of each target and measure its accuracy on'
    ' private images (knowledge extraction score).',
    'rows',
  )

  def _check_together(self) -> None:
    from gpz_jax import models
    from gpz_jax.attacks.model import specs

    super()._check_together()
    for text in self.attack:
      specs.check(text)
    models.check_name(self.evaluator)
    parse_model_options(self.evaluator_options)
    if self.evaluator_seed in self.seeds:
      fields.refuse('evaluator_seed', self.evaluator_seed, 'a seed that no target has')
    for name, file in GIVEN.items():
      if getattr(self, name) is not None and getattr(self, file) is not None:
        fields.refuse(name, getattr(self, name), f'that or --{file}, not both')
    if self.tune:
      fields.refuse('tune', True, '--notune: only a sweep measures its convolutions')

  def check_begins(self) -> None:
    """Refuses also drawn faces as the attacker's images of other data.

    A generator that is given was trained on other images, see `StudyConfig`.
    """
    super().check_begins()
    default = type(self).__dataclass_fields__['public_dataset'].default
    is_drawn = self.dataset.partition('/')[0] == 'portraits'
    is_given = self.generator is not None or self.prior_from is not None
    if self.public_dataset == default and not is_drawn and not is_given:
      fields.refuse(
        'public_dataset',
        self.public_dataset,
        f'images of the kind that --dataset={self.dataset} shows, such as a folder'
        ' ./PATH, or --generator=FILE; the default shows drawn faces',
      )

  def make_evaluator_recipe(self) -> Recipe:
    """The recipe of the evaluator, with the config's own values put in."""
    name = self.evaluator_recipe
    if name == 'auto':
      name = vocabulary.MODELS.get(self.evaluator, vocabulary.OWN_MODEL)
    return self.override_recipe(TARGET_RECIPES[name], 'evaluator')

  def make_prior_config(self) -> 'PriorConfig':
    """The settings of a generator that is trained."""
    from gpz_jax.generators import PriorConfig

    given = {'steps': self.prior_steps, 'width': self.prior_width}
    return dataclasses.replace(
      PriorConfig(),
      **{name: value for name, value in given.items() if value is not None},
    )

  def parse_evaluator_options(self) -> dict[str, Any]:
    """The options of the evaluator as values."""
    return parse_model_options(self.evaluator_options)
