"""Which targets a study has: their data, model, treatments and training, as fields."""

import dataclasses
from typing import Literal

from gpz_jax import skip_text, vocabulary
from gpz_jax.study.fields import COUNT, SEED, SHARE, Range, field
from gpz_jax.training.recipe import TARGET_RECIPES

LEAST_SIZE = vocabulary.SSIM_WINDOW  # of an image's side: SSIM looks at windows
BATCH = Range(2, 2**16 + 1)
LEARNING_RATE = Range(1e-12)


@dataclasses.dataclass(frozen=True)
class TargetConfig:
  """The fields of a study's targets; `StudyConfig` adds how they are computed."""

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
    ' has no test images of its own. Imported weights may have been trained on them.',
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
    'File with the weights of a target to attack; no target is trained then, unless'
    ' --finetune is given.',
    'targets',
  )
  finetune: bool = field(
    False,
    'Train all targets on from --target_weights, by the recipe. With --new_head the'
    ' last layer starts afresh.',
    'targets',
  )
  new_head: bool = field(
    False,
    'Draw the last layer anew where imported weights have another number of classes.'
    ' Only --finetune trains it; without that the accuracy means nothing.',
    'targets',
  )
  expect_accuracy: float | None = field(
    None,
    'Test accuracy that the imported target has elsewhere. The study is refused if its'
    ' accuracy here is more than 2 points lower: on test where the dataset has test'
    ' images of its own, and on val otherwise. Weights may have been trained on val.',
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
  treatments: tuple[str, ...] = field(
    (),
    'Treatments by name, in place of alphas, skips and defence: none, rolss, ssf,'
    ' ssf:0.01, tts, tts:10, alpha:0.3, skips such as 1110, or a defence. + puts'
    ' several together, as in rolss+bido.',
    'rows',
  )
  seeds: tuple[int, ...] = field(
    (0,),
    'Seeds of the targets and of the attacks on them.',
    'rows',
    range=SEED,
    is_set=True,
  )

  paired: bool = field(
    False,
    'Start all targets of a seed from the same values, and let them draw alike, so that'
    ' they differ in their treatment alone.',
    'targets',
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
  shift: int | None = field(
    None,
    'Most pixels that a training image is moved by in each direction, at random; as the'
    ' recipe has it if it is not set.',
    'targets',
    range=Range(0, 2**16),
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
    ' [0, 1], after --bn_refresh where that is given. Treatments are thus compared at'
    ' equal accuracy.',
    'rows',
    range=SHARE,
  )
