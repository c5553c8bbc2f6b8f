"""SweepConfig: what a sweep of activation inversion can be told."""

import dataclasses
from typing import ClassVar, Literal

from gpz_jax import vocabulary
from gpz_jax.study import fields
from gpz_jax.study.config import OF_RECIPE, StudyConfig
from gpz_jax.study.fields import AMOUNT, COUNT, SHARE, Range, field
from gpz_jax.study.target_config import BATCH, LEARNING_RATE
from gpz_jax.training.recipe import DECODER, DECODER_COSINE, Recipe
from gpz_jax.types import check_known


@dataclasses.dataclass(frozen=True)
class SweepConfig(StudyConfig):
  """One sweep. None means: as the dataset or the recipe says."""

  word: ClassVar[str] = 'sweep'

  workdir: str = field(
    'runs/sweep', 'Folder for everything that the sweep writes.', 'speed'
  )
  aux_dataset: str | None = field(
    None,
    "Dataset of the attacker's images; a share of the train subset if it is not set.",
    'rows',
  )
  aux_exclude: str | None = field(
    None,
    'File with one class name in each line that the aux dataset must not hold.',
    'rows',
  )
  aux_limit: int | None = field(
    None, "Largest number of the attacker's images.", 'rows', range=COUNT
  )

  splits: tuple[str, ...] = field(
    ('*',),
    'Where to cut: names, globs, the number that a name ends in, or paper.',
    'rows',
    is_set=True,
  )
  split_where: str = field(
    '*',
    "Which modules can be splits: a glob on their paths, such as '*/conv_*'.",
    'rows',
  )
  attack: tuple[str, ...] = field(
    ('inversion',),
    f'Attacks: {", ".join(vocabulary.ATTACKS)}, or package.module:factory. Each may'
    ' have options, as in'
    ' inversion:enhance=nn_concat:attention=aac+se:at=unit_49|unit_50.',
    'rows',
    is_set=True,
  )
  decoder_epochs: int | None = field(
    None, 'Epochs that the decoders are trained for.', 'rows', range=COUNT
  )
  decoder_batch_size: int | None = field(
    None, 'Batch size of the decoders.', 'rows', range=BATCH
  )
  decoder_learning_rate: float | None = field(
    None, 'Learning rate of the decoders.', 'rows', range=LEARNING_RATE
  )
  decoder_schedule: Literal['plateau', 'cosine'] = field(
    'plateau',
    'How the learning rate of the decoders changes. plateau halves it where the'
    ' held-out error stops falling, as published; cosine ends it at 0 with the last'
    ' step.',
    'rows',
    choices=('plateau', 'cosine'),
  )
  amsgrad: bool = field(True, 'Train the decoders by AMSGrad.', 'rows')
  selection: Literal['aux', 'test'] = field(
    'aux',
    'What chooses the epoch of a decoder: held-out aux images, or the test images as in'
    ' the published numbers.',
    'rows',
    choices=('aux', 'test'),
  )

  judge: str | None = field(
    None,
    'Who says beside the target which reconstructions still show their class: the'
    ' folder of a study of model inversion that trained an evaluator, or a file of'
    ' weights.',
    'rows',
  )
  judge_model: str | None = field(
    None, 'Model that --judge holds the weights of, if it is a file.', 'rows'
  )
  judge_options: tuple[str, ...] = field(
    (), 'Options of --judge_model as key=value, such as width=0.25.', 'rows'
  )

  payload_bits: int = field(
    32,
    'Bits of each number that the device sends. Below 16 the activation is quantised,'
    ' and the attacker and the cloud see it quantised.',
    'rows',
    choices=(32, 16, 8, 4),
  )
  activation_dtype: str = field(
    'float32',
    'Number format that activations are kept in. In float16 what is beyond its range'
    ' becomes its largest number.',
    'rows',
    choices=('float32', 'float16'),
  )
  cache: Literal['auto', 'device', 'host', 'disk'] = field(
    'auto',
    'Where activations are kept; auto takes the first place that they fit.',
    'speed',
    choices=('auto', *vocabulary.PLACES),
  )
  cache_budget_gb: float = field(
    8.0,
    "Most of the device's memory in GiB that activations may take at a time.",
    'speed',
    range=Range(1e-6),
  )

  theory: bool = field(
    False,
    "Measure the theory's quantities beside the attacks, on activations as the model"
    ' computes them: --payload_bits does not change them.',
    'report',
  )
  theory_limit: int = field(
    1000,
    'Largest number of training images that the theory is measured on. Its estimates'
    ' of information need at least 512. What was measured on another number is measured'
    ' again.',
    'report',
    range=Range(16, 2**31),
  )
  theory_every: int | None = field(
    None,
    'Measure radius and gradients also while the targets train, every so many epochs.',
    'report',
    range=COUNT,
  )

  max_edge_params: float | None = field(
    None,
    'Recommend only cuts with at most so many parameters on the device.',
    'report',
    range=AMOUNT,
  )
  max_edge_flops: float | None = field(
    None,
    'Recommend only cuts with at most so many FLOPs for an image on the device.',
    'report',
    range=AMOUNT,
  )
  max_payload_bytes: float | None = field(
    None,
    'Recommend only cuts that send at most so many bytes for an image, each number in'
    ' --payload_bits.',
    'report',
    range=AMOUNT,
  )
  min_accuracy: float | None = field(
    None,
    'Recommend only cuts whose target has at least this test accuracy. Where it is not'
    ' set, half of the best accuracy is the least.',
    'report',
    range=SHARE,
  )

  private_enough: str = field(
    '4x4',
    'Recommend the cheapest cut on which no attack is better than this guess of the'
    f' image: {", ".join(vocabulary.PRIVATE_ENOUGH)}, or an MSE such as 0.02.',
    'report',
  )

  def _check_together(self) -> None:
    from gpz_jax.attacks.activation import specs
    from gpz_jax.study.model_options import parse_model_options
    from gpz_jax.zone import bars

    super()._check_together()
    bars.check(self.private_enough)
    if self.judge_model is not None:
      check_known('judge_model', self.judge_model, vocabulary.MODELS)
    parse_model_options(self.judge_options, 'judge_options')
    for text in self.attack:
      specs.check(text)

  def check_begins(self) -> None:
    """Refuses also what would do nothing in a sweep, see `StudyConfig`."""
    super().check_begins()
    for name in ('judge_model', 'judge_options'):
      if self.judge is None and (value := getattr(self, name)):
        fields.refuse(name, value, 'it together with --judge')
    if self.is_imported and self.bn_refresh:
      fields.refuse(
        'bn_refresh', True, '--nobn_refresh: imported targets keep their averages'
      )
    if self.theory_every is not None and (self.is_imported or self.targets_from):
      fields.refuse(
        'theory_every',
        self.theory_every,
        'it where targets are trained; --theory measures those that are given',
      )

  def list_idle(self) -> tuple[str, ...]:
    """As of `StudyConfig`, without what the theory and an attack take all the same."""
    taken: tuple[str, ...] = ()
    if self.theory:  # it smooths labels as the training did
      taken += ('smoothing',)
    if any(text.partition(':')[0] == 'query_free' for text in self.attack):
      taken += OF_RECIPE  # its shadow edges are trained by it
    return tuple(name for name in super().list_idle() if name not in taken)

  def make_decoder_recipe(self) -> Recipe:
    """The recipe of the decoders, with the config's own values put in."""
    recipe = dataclasses.replace(
      DECODER if self.decoder_schedule == 'plateau' else DECODER_COSINE,
      amsgrad=self.amsgrad,
    )
    return self.override_recipe(recipe, 'decoder')
