import dataclasses

import tiny

from gpz_jax.model_inversion import doubts


def test_public_images_of_the_same_people_are_told():
  task = dataclasses.replace(tiny.task(), class_names=('a; b', '1', 'c'))
  assert doubts.of_public(task) == ''
  task = dataclasses.replace(task, aux_class_names=('A_B', '1', 'd'))
  assert doubts.of_public(task) == (
    "1 of 3 private classes have the name of a public class, such as 'a, b'"
  )
