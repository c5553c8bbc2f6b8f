import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inversion_toys import check_attack, make_critic, make_public, make_scenario

from gpz_jax.attacks.model import gmi
from gpz_jax.models import penultimate
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError

STUDENTS = {'students': ('resnet18',), 'student_epochs': 1, 'student_width': 0.0625}
KEY = jax.random.key(0)
SHORT = gmi.GMI(
  text='lomma_gmi',
  loss='identity',
  feature_weight=0.5,
  candidates=2,
  steps=12,
  averaged_over=1,
  learning_rate=1e-3,
)


def test_the_loss_is_a_plain_sum_over_target_and_features():
  scenario = make_scenario(public=make_public(), **make_critic())
  known = SHORT.add_knowledge(scenario)
  engine = scenario.engine.resolve()
  identity = SHORT.make_identity(known, engine)
  images = jnp.asarray(make_public().image[:3], jnp.float32) / 255
  labels = jnp.array([0, 1, 1])
  for row in range(2):
    found, logits = identity(
      {'target': lanes_lib.take(known.targets, row)}, images, labels, KEY
    )
    target = lanes_lib.take(scenario.targets, row)
    everything = jnp.asarray(make_public().image, jnp.float32) / 255
    _, public = penultimate.apply(scenario.model, target, everything, engine.apply)
    wanted, features = penultimate.apply(scenario.model, target, images, engine.apply)
    apart = np.square(np.asarray(features) - np.asarray(public).mean(axis=0))
    of_class = np.asarray(wanted)[np.arange(3), labels]
    np.testing.assert_allclose(found, -of_class + 0.5 * apart.mean(axis=-1), rtol=1e-4)
    np.testing.assert_allclose(logits, wanted, rtol=1e-5)


def test_no_feature_weight_is_the_logit_alone():
  plain = gmi.GMI(loss='identity')
  scenario = make_scenario()
  known = plain.add_knowledge(scenario)
  assert known.targets.keys() == {'target', 'students'}
  identity = plain.make_identity(known, scenario.engine.resolve())
  target = lanes_lib.take(known.targets, 0)
  images = jnp.full((2, 6, 6, 1), 0.5)
  losses, logits = identity({'target': target}, images, jnp.array([2, 3]), KEY)
  np.testing.assert_allclose(losses, -np.asarray(logits)[[0, 1], [2, 3]], rtol=1e-6)


@pytest.mark.slow
def test_students_are_averaged_with_the_target():
  attack = gmi.GMI(
    loss='identity',
    candidates=1,
    steps=2,
    averaged_over=1,
    prior_weight=0.0,
    **STUDENTS,
  )
  scenario = make_scenario(lanes=2, classes=(0, 1, 3), public=make_public())
  known = attack.add_knowledge(scenario)
  engine = scenario.engine.resolve()
  identity = attack.make_identity(known, engine)
  student = attack._make_student(scenario, 0)
  images = jnp.full((1, 6, 6, 1), 0.4)
  for row in range(2):
    target = lanes_lib.take(known.targets, row)
    found, logits = identity({'target': target}, images, jnp.array([1]), KEY)
    other = student.apply(target['students'][0], images)
    np.testing.assert_allclose(found, -(logits[:, 1] + other[:, 1]) / 2, rtol=1e-4)


@pytest.mark.ci
def test_lomma_dies_and_goes_on_bit_for_bit(tmp_path):
  found = check_attack(SHORT, tmp_path, public=make_public(), **make_critic())
  loss = found.history['loss']
  assert (loss[..., -1] < loss[..., 0]).all()


@pytest.mark.slow
def test_students_are_kept_in_the_store(tmp_path):
  attack = gmi.GMI(
    loss='identity',
    candidates=1,
    steps=2,
    averaged_over=1,
    prior_weight=0.0,
    **STUDENTS,
  )
  check_attack(attack, tmp_path, saves=2, public=make_public())
  assert any('student' in path.name for path in tmp_path.iterdir())


def test_what_is_missing_is_said():
  with pytest.raises(InputError, match='learns from public images'):
    gmi.GMI(text='g', feature_weight=1.0, prior_weight=0.0).run(make_scenario())
  attack = gmi.GMI(text='g', students=('resnet19',), prior_weight=0.0)
  with pytest.raises(InputError, match="student 'resnet19' is not known"):
    attack.check(make_scenario(public=make_public()))
