import contextlib
import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import generators
from gpz_jax.generators import DCGAN, Generator, files
from gpz_jax.interruption import Interrupted
from gpz_jax.model_inversion import priors
from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.study.workdir import Workdir
from gpz_jax.training.engine import AUTO
from gpz_jax.training.snapshots import Snapshot
from gpz_jax.types import InputError

SIDE = 4


@dataclasses.dataclass(frozen=True)
class Noise(Generator):
  """Images whose pixels are the latent, nearly grey."""

  image_shape = (SIDE, SIDE, 1)
  latent_shape = (SIDE * SIDE,)

  def sample(self, variables, key, count):
    del variables
    shape = (count, *self.latent_shape)
    return jax.random.uniform(key, shape, minval=0.4, maxval=0.6)

  def images(self, variables, latents):
    return jnp.reshape(latents, (-1, *self.image_shape)) + variables


class Pixels:
  """An evaluator whose features are the pixels."""

  def features(self, images):
    return images.reshape(len(images), -1) / 255


@pytest.mark.parametrize('count', [64, 8], ids=['enough', 'fewer than features'])
def test_a_generator_of_nearly_black_images_is_doubted(count):
  prior = priors.Prior(Noise(), jnp.zeros(()), 'noise')
  public = priors.sample(prior, 64, seed=1)
  session = types.SimpleNamespace(
    plan=types.SimpleNamespace(
      task=types.SimpleNamespace(aux=types.SimpleNamespace(image=public)),
      config=types.SimpleNamespace(data_seed=0),
      most_side=SIDE,
    )
  )
  alike = priors.sample(prior, count, seed=2)
  black = np.zeros_like(alike)
  black[:, 0] = alike[:, 0] // 32
  doubts = priors.doubt_samples(session, Pixels(), prior, np.stack([alike, black]))
  assert doubts[0] == ''
  assert "the attack's own generator makes no images like the public ones" in doubts[1]


@dataclasses.dataclass(frozen=True)
class Framed(Noise):
  """Black images whose inner half is white."""

  image_shape = (8, 8, 1)
  centre_crop = 0.5

  def images(self, variables, latents):
    inner = jnp.zeros(self.image_shape).at[2:6, 2:6].set(1.2)
    return jnp.broadcast_to(inner, (len(latents), *self.image_shape))


def test_samples_are_what_targets_are_shown_of_them():
  prior = priors.Prior(Framed(), jnp.zeros(()), 'framed')
  drawn = priors.sample(prior, 3, seed=0)
  assert drawn.shape == (3, 4, 4, 1)
  assert (drawn == 255).all()
  assert priors.sample(prior, 3, seed=0, most_side=2).shape == (3, 2, 2, 1)


NET = DCGAN(size=8, width=2, channels=1, latent=3)


def make_session(folder, public_digest='now', **changes):
  """As much of a study as asks for its generator; `said` has its lines."""
  workdir, said = Workdir(folder), []
  config = ModelInversionConfig(workdir=str(folder), **changes)
  return types.SimpleNamespace(
    plan=types.SimpleNamespace(
      config=config,
      public_digest=public_digest,
      given=None,
      task=types.SimpleNamespace(aux=None),
    ),
    workdir=workdir,
    engine=AUTO,
    progress=types.SimpleNamespace(phase=lambda name: contextlib.nullcontext()),
    said=said,
    say=said.append,
    snapshots=lambda name, **identity: SnapshotStore(
      workdir.running / name, identity, AUTO, 0.0, said.append
    ),
  )


def keep_generator(folder, trained_on):
  folder.mkdir(exist_ok=True)
  path, variables = Workdir(folder).generator, NET.init(jax.random.key(0))
  generators.save(path, NET, variables, trained_on=trained_on)


@pytest.mark.parametrize('trained_on', ['now', ''], ids=['now', 'earlier version'])
def test_a_generator_of_the_same_public_images_is_taken(tmp_path, trained_on):
  theirs, ours = tmp_path / 'theirs', tmp_path / 'ours'
  keep_generator(theirs, trained_on)
  ours.mkdir()
  assert priors.load(make_session(theirs)).generator == NET
  borrowing = make_session(ours, prior_from=str(theirs))
  assert priors.load(borrowing).generator == NET
  assert files.read_trained_on(borrowing.workdir.generator) == trained_on


def test_a_generator_of_other_public_images_is_refused(tmp_path):
  theirs, ours = tmp_path / 'theirs', tmp_path / 'ours'
  keep_generator(theirs, 'before')
  for session in (make_session(theirs), make_session(ours, prior_from=str(theirs))):
    with pytest.raises(InputError, match='was trained on other public images than'):
      priors.load(session)
  assert not ours.exists()


@pytest.mark.parametrize(
  ('identity', 'is_taken'),
  [({'public': 'now'}, True), ({'public': 'before'}, False), ({}, True)],
  ids=['now', 'before', 'earlier version'],
)
def test_a_training_goes_on_with_the_public_images_it_began_with(
  tmp_path, monkeypatch, identity, is_taken
):
  session, state = make_session(tmp_path), {'step': np.zeros(3)}
  wanted = str(session.plan.config.make_prior_config())
  begun = session.snapshots('generator', generator=wanted, **identity)
  begun.save(Snapshot(state, {}, 0, 5, {}))

  def go_on(public, config, *, snapshots, **_):
    found = snapshots.load((state, {}))
    raise Interrupted('with a snapshot' if found else 'with none')

  monkeypatch.setattr(generators, 'train_prior', go_on)
  with pytest.raises(Interrupted, match='with a snap' if is_taken else 'with none'):
    priors.load(session)
  assert any('it begins again' in line for line in session.said) != is_taken
