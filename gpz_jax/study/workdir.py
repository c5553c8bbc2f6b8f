"""The folder of a study: every path in it, whose it is, and who may write it."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from gpz_jax import atomic, checkpoints, filenames, results
from gpz_jax.models import choices
from gpz_jax.study import fields, locking, pictures, programs
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.serialization import first_difference, from_json, to_flags, to_json
from gpz_jax.types import InputError, stable_hash

Config = TypeVar('Config', bound=StudyConfig)
UNIT_FILES = ('units', 'units.jsonl', 'submitted')  # see launching.units


class Workdir:
  """A folder of a study. Making one touches nothing.

  Attributes:
    path: The folder itself.
    config: What ran, as JSON; a folder is known by this file.
    flags: The same as a flagfile that repeats it.
    environment: Versions, device and commit that it ran on.
    lock: Held by the one process that writes the folder.
    tuned: The implementations of convolutions that --tune found.
    targets: Checkpoint of the trained targets.
    attacked: A checksum of each target that the rows are of.
    evaluator: Checkpoint of the evaluator of a study of model inversion.
    generator: File of the generator that such a study trained.
    epochs: Folder with a checkpoint for each epoch of a target that was kept.
    decoders: Folder with a checkpoint for each set of decoders.
    running: Folder with the snapshots of what is being trained.
    activations: Folder for activations that fit no memory.
    samples: Folder of images and their reconstructions, for the report.
    originals: The images that reconstructions are shown of.
    privates: Private images of the first attacked classes, [T', n, H, W, C].
    histories: Folder of the course of each attack on a model.
    embeddings: Folder of embedded activations, for the report.
    events: Folder of the curves for TensorBoard.
    ladder: What simple guesses score.
    comparison: The comparison with published numbers, as text.
    report: Folder of the page.
    merged: How much of it is there, where it was merged from units.
  """

  def __init__(self, path: str | os.PathLike[str]):
    self.path = pathlib.Path(path)
    self.config = self.path / 'config.json'
    self.flags = self.path / 'run.flags'
    self.environment = self.path / 'env.json'
    self.lock = self.path / 'lock'
    self.tuned = self.path / 'tuned.json'
    self.targets = self.path / 'targets'
    self.attacked = self.path / 'targets.json'
    self.evaluator = self.path / 'evaluator'
    self.generator = self.path / 'generator.safetensors'
    self.epochs = self.path / 'epochs'
    self.decoders = self.path / 'decoders'
    self.running = self.path / 'running'
    self.activations = self.path / 'activations'
    self.samples = self.path / 'samples'
    self.originals = self.samples / 'originals.npy'
    self.privates = self.samples / 'privates.npy'
    self.histories = self.path / 'history'
    self.embeddings = self.path / 'theory'
    self.events = self.path / 'tb'
    self.ladder = self.path / 'ladder.json'
    self.comparison = self.path / 'comparison.txt'
    self.report = self.path / 'report'
    self.merged = self.path / 'merged.json'

  def __str__(self) -> str:
    return str(self.path)

  def lines(self, schema: results.Schema = results.RESULTS) -> pathlib.Path:
    """The file that rows are appended to while the study runs."""
    return schema.lines_path(self.path)

  def table(self, schema: results.Schema = results.RESULTS) -> pathlib.Path:
    """The file of all rows, written when the study is done."""
    return schema.table_path(self.path)

  def sample(self, lane_id: str, split: str, attack: str) -> pathlib.Path:
    """The reconstructions of one lane at one split by one attack, [n, H, W, C]."""
    name = filenames.safe(f'{lane_id}-{split}-{stable_hash(attack):08x}')
    return self.samples / f'{name}.npy'

  def reconstruction(self, lane_id: str, attack: str) -> pathlib.Path:
    """What an attack on a lane's model found, [T', n, H, W, C], beside `privates`."""
    name = filenames.safe(f'{lane_id}-{stable_hash(attack):08x}')
    return self.samples / f'{name}.npy'

  def history(self, lane_id: str, attack: str) -> pathlib.Path:
    """The course of an attack on a lane's model, step by step."""
    return self.histories / f'{self.reconstruction(lane_id, attack).stem}.json'

  def embedding(self, lane_id: str, split: str) -> pathlib.Path:
    """The embedded activations of one lane at one split, with their classes [n, 3]."""
    return self.embeddings / f'{filenames.safe(f"{lane_id}-{split}")}.npy'

  def list_pictures(
    self, rows: list[results.Row]
  ) -> dict[pathlib.Path, list[pathlib.Path]]:
    """The files that the report shows, by folder; rows are what samples are of."""
    made = [self.sample(row['lane_id'], row['split'], row['attack']) for row in rows]
    embedded = sorted(self.embeddings.glob('*.npy'))
    return {self.samples: [self.originals, *made], self.embeddings: embedded}

  def list_sheets(self, rows: list[results.Row]) -> list[pathlib.Path]:
    """The files of private images and what was found; rows are of model inversion."""
    found = [self.reconstruction(row['lane_id'], row['attack']) for row in rows]
    return [self.privates, *found]

  def list_kept(self, config: StudyConfig) -> list[pathlib.Path]:
    """The folders in this one where JAX keeps programs or a trace, as named."""
    words = (None, '', programs.AUTO, programs.NONE)
    folders = (config.compile_cache, config.profile)
    named = [pathlib.Path(folder) for folder in folders if folder not in words]
    return [p for p in named if p.resolve().is_relative_to(self.path.resolve())]

  def list_checkpoints(self) -> list[pathlib.Path]:
    """The folders that hold a finished step of a checkpoint."""
    folders = [self.targets, self.evaluator]
    for parent in (self.epochs, self.decoders, self.running):
      folders += sorted(parent.glob('*'))
    return [folder for folder in folders if checkpoints.has_step(folder)]

  def training(self, cohort: str, first: str, attack: str, part: str = '') -> str:
    """The name of the folder of what an attack trains.

    Args:
      cohort: Name of the cohort.
      first: Name of the first lane.
      attack: Text of the attack.
      part: Which of its trainings; '' if it is the only one.
    """
    end = f'-{stable_hash(part):08x}' if part else ''
    return filenames.safe(f'{cohort}-{first}-{stable_hash(attack):08x}{end}')

  def save_data(self, ladder: dict[str, Any], originals: np.ndarray) -> None:
    """Writes what the report shows of the data.

    Args:
      ladder: What simple guesses score; one that is there already is kept.
      originals: [n, H, W, C] uint8, the images that reconstructions are shown of.
    """
    if not self.ladder.exists():
      atomic.write_json(self.ladder, ladder)
    pictures.write(self.originals, originals)

  def save_sample(
    self, lane_id: str, split: str, attack: str, images: np.ndarray
  ) -> None:
    """Writes reconstructions [n, H, W, C] in [0, 1] in 8 bits, for the report."""
    pixels = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
    pictures.write(self.sample(lane_id, split, attack), pixels)

  def save_embedding(
    self, path: pathlib.Path, points: np.ndarray, labels: np.ndarray
  ) -> None:
    """Writes embedded activations [n, 2] and their classes [n] as one [n, 3]."""
    pictures.write(path, np.column_stack([points, labels]).astype(np.float32))

  def read_rows(self, schema: results.Schema = results.RESULTS) -> list[results.Row]:
    """The rows that were appended so far, in the order they were written.

    Raises:
      InputError: The file is damaged, or it is gone and its table is there.
    """
    lines, table = self.lines(schema), self.table(schema)
    if lines.exists():
      return results.read_rows(lines, schema)
    if table.exists():
      raise InputError(
        f'{lines} is gone, and {table.name} holds rows that would be computed again;'
        f' bring the file back, or remove {table.name} if that is meant'
      )
    return []

  def append_rows(
    self, rows: list[results.Row], schema: results.Schema = results.RESULTS
  ) -> None:
    """Adds rows in one write."""
    results.append_rows(self.lines(schema), rows, schema)

  def read_config(self, config_type: type[Config]) -> Config:
    """The config of the study in the folder, wherever that lies now.

    Raises:
      InputError: There is none, or it is no config of this kind and version.
    """
    if not self.config.is_file():
      raise InputError(
        f'--workdir={self.path} holds no config.json; name the folder of a study'
      )
    values = results.read_object(self.config)
    if strange := sorted(fields.meanings(config_type).keys() ^ values.keys()):
      raise InputError(
        f'{self.config} is of another version: it differs in {strange[0]}'
      )
    try:
      return from_json(config_type, values | {'workdir': str(self.path)})
    except (InputError, TypeError) as error:
      raise InputError(f'{self.config} is damaged: {error}') from error

  def check(self, config: StudyConfig) -> None:
    """Refuses a folder that a study cannot go on in; touches nothing.

    Raises:
      InputError: The folder belongs to another study, naming the first field that
        differs; it is not a folder; or a file in it is damaged.
    """
    try:
      self._check(config)
    except OSError as error:
      raise InputError(
        f'--workdir={self.path} cannot be read: {error.strerror}; name another'
      ) from error

  def _check(self, config: StudyConfig) -> None:
    if self.path.exists() and not self.path.is_dir():
      raise InputError(f'--workdir={self.path} is not a folder; name another')
    theirs = results.read_object(self.config)
    if not theirs:
      # What a run leaves that is killed before it has written its config, and the units
      # that are done elsewhere and merged here.
      first = {self.lock.name, f'{self.config.name}.partial', *UNIT_FILES}
      if self.path.is_dir() and {path.name for path in self.path.iterdir()} - first:
        raise InputError(
          f'--workdir={self.path} holds files but no config.json; name an empty folder'
        )
      return
    if strange := sorted(theirs.keys() - fields.meanings(type(config)).keys()):
      raise InputError(
        f"--workdir={self.path}: config.json has '{strange[0]}', which this version of"
        ' gpz_jax does not know; use the version that wrote it, or name another workdir'
      )
    identity = fields.in_scope(type(config), 'targets', 'rows')
    if difference := first_difference(config, theirs, identity):
      raise InputError(
        f'--workdir={self.path} holds another {config.word}: {difference};'
        f' name another workdir, or repeat that {config.word} with'
        f' --flagfile={self.flags}'
      )
    for schema in (results.RESULTS, results.INVERSIONS):
      self.read_rows(schema)
    results.read_ladder(self.ladder)
    results.read_object(self.attacked)
    if config.tune:
      self.read_tuned()

  def read_tuned(self) -> choices.Table | None:
    """The implementations that --tune found; None where it did not run.

    Raises:
      InputError: tuned.json is damaged or names no such implementation.
    """
    if not self.tuned.exists():
      return None
    content = results.read_object(self.tuned)
    try:
      return choices.check_table(content)
    except ValueError as error:
      raise InputError(
        f'{self.tuned} is damaged ({error}); remove it to have the convolutions'
        ' measured anew'
      ) from error

  def write_identity(self, config: StudyConfig) -> None:
    """Writes what identifies the run; the config first, by which a folder is known."""
    with locking.blamed(self.path):
      atomic.write_json(self.config, to_json(config))
      atomic.write_text(self.flags, to_flags(config))
      atomic.write_json(self.environment, results.provenance())
      self.samples.mkdir(exist_ok=True)

  @contextlib.contextmanager
  def locked(self, say: checkpoints.Say) -> Iterator[None]:
    """Keeps every other process from writing the folder, see `locking.locked`."""
    with locking.locked(self.path, self.lock, say):
      yield

  def check_unlocked(self) -> None:
    """Raises BusyError, naming the process, where one is writing the folder."""
    locking.check_unlocked(self.path, self.lock)

  def tidy(self) -> None:
    """Removes what only an unfinished study needs."""
    for folder in (self.running, self.activations):
      shutil.rmtree(folder, ignore_errors=True)
