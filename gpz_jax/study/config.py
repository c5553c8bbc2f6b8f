"""StudyConfig: what every study can be told, checked where it is made.

The flags of the command line, config.json and the programmatic interface are all made
from the fields below. A study adds fields of its own in a subclass.
"""

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gpz_jax import skip_text, vocabulary
from gpz_jax.data import order
from gpz_jax.study import fields
from gpz_jax.study.fields import COUNT, SEED, SHARE, Range, field
from gpz_jax.study.model_options import parse_model_options
from gpz_jax.training.recipe import TARGET_RECIPES, Recipe
from gpz_jax.types import Lane, Treatment

if TYPE_CHECKING:  # JAX takes seconds to import, and --help must not wait for it
  from gpz_jax.training.engine import Engine

LEAST_SIZE = vocabulary.SSIM_WINDOW  # of an image's side: SSIM looks at windows
BATCH = Range(2, 2**16 + 1)
LEARNING_RATE = Range(1e-12)


@dataclasses.dataclass(frozen=True)
class StudyConfig:
  """What is asked for. None means: as the dataset or the recipe says.

  Values become plain Python ones of the declared type, and what is not allowed raises
  an InputError, where a config is made or a field replaced. Whether data, models,
  splits and devices are there is found out when a study is planned.
  """

  word: ClassVar[str] = 'study'  # what messages call a run

  workdir: str = field(
    'runs/study', 'Folder for everything that the study writes.', 'speed'
  )
  dataset: str = field(
    'shapes',
    'Dataset of the targets: shapes, portraits, cifar10, mnist, the name of any'
    ' prepared TFDS dataset, or a folder of images as ./PATH, /PATH or folder:PATH.',
    'targets',
  )
  data_dir: str | None = field(
    None,
    'TFDS folder; $TFDS_DATA_DIR or ~/tensorflow_datasets if it is not set.',
    'speed',
  )
  image_size: int | str | None = field(
    None,
    'Side that images are resized to, or height x width, as in 48x32.',
    'targets',
    range=Range(LEAST_SIZE, 1025),
  )
  channels: int | None = field(
    None,
    'Channels that images are read with: 1 is grey, 3 is colour. If it is not set,'
    ' images are grey where all of them are.',
    'targets',
    range=Range(1, 4),
  )
  test_share: float | None = field(
    None,
    'Share of the images of each class that is kept for testing, where the dataset'
    ' has no test images of its own.',
    'targets',
    range=Range(0.0, 1.0, excludes_least=True),
  )
  train_limit: int | None = field(
    None, 'Largest number of training images of the targets.', 'targets', range=COUNT
  )
  val_limit: int | None = field(
    None, 'Largest number of validation images.', 'targets', range=COUNT
  )
  test_limit: int | None = field(
    None, 'Largest number of test images.', 'rows', range=COUNT
  )
  data_seed: int = field(
    0,
    'Seed of the choice of the subsets and of the order of the examples.',
    'targets',
    range=SEED,
  )

  model: str = field(
    'vgg11',
    f'Architecture of the targets: {", ".join(vocabulary.MODELS)}, or'
    ' package.module:factory.',
    'targets',
  )
  model_options: tuple[str, ...] = field(
    (),
    "Options of the model's own as key=value, such as width=0.25 or head=torchvision.",
    'targets',
  )
  model_output: str | None = field(
    None,
    'Which of its outputs are the logits, where a model of your own returns several:'
    ' the position in a tuple, or the name in a dictionary or dataclass.',
    'targets',
  )
  target_weights: str | None = field(
    None,
    'File with the weights of a target to attack; no target is trained then.',
    'targets',
  )
  new_head: bool = field(
    False,
    'Draw the last layer anew where imported weights have another number of classes.'
    ' It is not trained, so that the accuracy means nothing.',
    'targets',
  )
  expect_accuracy: float | None = field(
    None,
    'Accuracy that the imported target has elsewhere. The study is refused if its'
    ' accuracy on val is more than 2 points lower.',
    'report',
    range=SHARE,
  )
  targets_from: str | None = field(
    None, 'Workdir of a study that trained the same targets, to attack those.', 'speed'
  )
  alphas: tuple[float, ...] = field(
    (0.0, 0.3, -0.05),
    'Label smoothing of the targets, in (-1, 1).',
    'rows',
    range=Range(-1.0, 1.0, excludes_least=True),
    is_set=True,
  )
  skips: tuple[str, ...] = field(
    (skip_text.INTACT,),
    'Skip connections of the targets: intact, or one character for each stage. 1 is'
    ' intact, 0 removed, s scaled by the number behind / and l learned, as in 1110 or'
    ' 1111/0.2. 1110@5 keeps all for 5 epochs first.',
    'rows',
    is_set=True,
  )
  defence: tuple[str, ...] = field(
    ('none',),
    f'Defences of the targets: {", ".join(vocabulary.DEFENCES)}, or'
    ' package.module:factory. Each may have options, as in'
    ' bido:measure=hsic:lx=0.05:ly=0.5 or noise:sigma=0.1:clip=1.',
    'rows',
    is_set=True,
  )
  one_at_a_time: bool = field(
    False,
    'Change one of alphas, skips and defence at a time, and leave the others at their'
    ' first value, instead of crossing all of them.',
    'rows',
  )
  seeds: tuple[int, ...] = field(
    (0,),
    'Seeds of the targets and of the attacks on them.',
    'rows',
    range=SEED,
    is_set=True,
  )

  smoothing: Literal['standard', 'code', 'table1'] = field(
    'standard',
    'Convention of the smoothed labels.',
    'targets',
    choices=vocabulary.CONVENTIONS,
  )
  target_recipe: str = field(
    'auto',
    "How the targets are trained; auto takes the recipe of the model's family.",
    'targets',
    choices=('auto', *TARGET_RECIPES),
  )
  target_epochs: int | None = field(
    None, 'Epochs that the targets are trained for.', 'targets', range=COUNT
  )
  target_batch_size: int | None = field(
    None, 'Batch size of the targets.', 'targets', range=BATCH
  )
  batches: str | None = field(
    None,
    'Class-balanced batches of the targets: classes x images of each, as in 16x4.',
    'targets',
  )
  target_learning_rate: float | None = field(
    None, 'Learning rate of the targets.', 'targets', range=LEARNING_RATE
  )
  flip: bool | None = field(
    None,
    'Mirror training images at random; as the recipe does if it is not set.',
    'targets',
  )
  jitter: float | None = field(
    None,
    'Amplitude of colour jitter in training, in [0, 1); as the recipe has it if it is'
    ' not set.',
    'targets',
    range=SHARE,
  )

  bn_refresh: bool = field(
    False,
    'Measure the batch-norm averages of trained targets anew on training images. A'
    ' short training needs it, because running averages lag behind.',
    'targets',
  )

  keep_checkpoints: int = field(
    0,
    'Number of epochs of each target that are kept: the best ones, half a point of'
    ' accuracy apart.',
    'report',
    range=Range(0, 1001),
  )
  at_accuracy: float | None = field(
    None,
    'Attack each target at the kept epoch whose accuracy on val is nearest to this, in'
    ' [0, 1]. Treatments are thus compared at equal accuracy.',
    'rows',
    range=SHARE,
  )

  strategy: str = field(
    'auto', f'How lanes are run: {", ".join(vocabulary.STRATEGIES)}.', 'speed'
  )
  conv: str = field(
    'auto',
    'How convolutions are computed; auto takes what was measured to be fastest.',
    'speed',
    choices=vocabulary.CONVOLUTIONS,
  )
  tune: bool = field(
    False,
    'Measure first how convolutions are computed fastest on this machine.',
    'speed',
  )
  precision: str = field(
    'auto',
    'Number format of the forward and backward pass; auto is float32.',
    'targets',
    choices=vocabulary.PRECISIONS,
  )
  devices: int = field(
    0, 'Number of local devices that lanes are spread over; 0 takes all.', 'speed'
  )
  compile_cache: str | None = field(
    None,
    'Folder to keep compiled programs in. It must be local to the machine, and only'
    ' yours.',
    'speed',
  )
  profile: str | None = field(
    None, 'Folder for a trace of the run (jax.profiler).', 'speed'
  )
  save_seconds: float = field(
    30.0,
    'Least time in seconds between two snapshots of a running training.',
    'speed',
    range=Range(0.0),
  )
  note: str = field('', 'Text that the report shows beside the settings.', 'report')

  def __post_init__(self):
    for name, value in fields.checked(self).items():
      object.__setattr__(self, name, value)  # the way a frozen dataclass sets itself
    self._write_alike()
    self._check_together()

  def _write_alike(self) -> None:
    """Writes treatments in one way, so that equal ones have equal lanes and rows."""
    writers = {'skips': skip_text.canonical}
    if self.defence != ('none',):
      from gpz_jax import defences

      writers['defence'] = defences.canonical
    for name, write in writers.items():
      texts = getattr(self, name)
      written = tuple(map(write, texts))
      if len(set(written)) != len(written):
        fields.refuse(name, ','.join(texts), 'no two that are the same')
      object.__setattr__(self, name, written)

  def _check_together(self) -> None:
    """Raises InputError where values that are allowed alone do not go together."""
    from gpz_jax import models
    from gpz_jax.training import lanes

    if not self.workdir:
      fields.refuse('workdir', self.workdir, 'the path of a folder')
    lanes.resolve(self.strategy)
    if self.batches is not None:
      order.parse_batches(self.batches)
    models.check_name(self.model)
    self.parse_model_options()
    if self.channels == 2:
      fields.refuse('channels', self.channels, '1 (grey) or 3 (colour)')
    if self.batches is not None and self.target_batch_size is not None:
      fields.refuse('batches', self.batches, 'that or --target_batch_size, not both')
    if self.tune and self.conv != 'auto':
      fields.refuse('conv', self.conv, 'auto, or --notune')
    if self.expect_accuracy is not None and not self.target_weights:
      fields.refuse(
        'expect_accuracy', self.expect_accuracy, 'it together with --target_weights'
      )
    if self.at_accuracy is not None and not (
      self.keep_checkpoints or self.targets_from
    ):
      fields.refuse(
        'at_accuracy',
        self.at_accuracy,
        'it together with --keep_checkpoints=8, or with --targets_from=WORKDIR whose'
        ' targets were trained so',
      )
    if self.at_accuracy is not None and self.target_weights:
      fields.refuse('at_accuracy', self.at_accuracy, 'that or --target_weights')
    if self.new_head and not self.target_weights:
      fields.refuse('new_head', self.new_head, 'it together with --target_weights')
    if self.target_weights and self.targets_from:
      fields.refuse(
        'targets_from', self.targets_from, 'that or --target_weights, not both'
      )

  def make_engine(self) -> 'Engine':
    """How lanes are computed on this machine.

    Raises:
      InputError: There are not as many devices as `devices` asks for.
    """
    from gpz_jax.training.engine import Engine

    return Engine(self.strategy, self.conv, self.precision, self.devices).resolve()

  def recipe_name(self) -> str:
    """The name of the recipe that the targets are trained by."""
    if self.target_recipe == 'auto':
      return vocabulary.MODELS.get(self.model, vocabulary.OWN_MODEL)
    return self.target_recipe

  def make_target_recipe(self) -> Recipe:
    """The recipe of the targets, with the config's own values put in."""
    given = {'flip': self.flip, 'jitter': self.jitter}
    recipe = dataclasses.replace(
      TARGET_RECIPES[self.recipe_name()],
      **{name: value for name, value in given.items() if value is not None},
    )
    recipe = self.override_recipe(recipe, 'target')
    if self.batches is None:
      return recipe
    size = math.prod(order.parse_batches(self.batches))
    return dataclasses.replace(recipe, batch_size=size)

  def override_recipe(self, recipe: Recipe, kind: str) -> Recipe:
    """A recipe with the values of the fields `{kind}_epochs` and so on that are set."""
    names = ('epochs', 'batch_size', 'learning_rate')
    given = {name: getattr(self, f'{kind}_{name}') for name in names}
    return dataclasses.replace(
      recipe, **{name: value for name, value in given.items() if value is not None}
    )

  def list_lanes(self) -> tuple[Lane, ...]:
    """The lanes of the targets: every treatment with every seed."""
    kinds = (self.alphas, self.skips, self.defence)
    chosen = list(itertools.product(*kinds))
    if self.one_at_a_time:
      first = chosen[0]
      chosen = [
        values
        for values in chosen
        if sum(a != b for a, b in zip(values, first, strict=True)) <= 1
      ]
    return tuple(
      Lane(self.model, self.dataset, Treatment(*values), seed)
      for values, seed in itertools.product(chosen, self.seeds)
    )

  def parse_model_options(self) -> dict[str, Any]:
    """The options of the model as values: width=0.25 -> {'width': 0.25}."""
    return parse_model_options(self.model_options)
