"""Small made-up files in the forms that datasets are published in."""

import gzip
import io
import pathlib
import tarfile
import zipfile

import numpy as np
import PIL.Image
import scipy.io


def characters(count: int, seed: int = 0) -> np.ndarray:
  """Grey 28x28 images, none of which is its own transpose: [count, 28, 28] uint8."""
  return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def idx(array: np.ndarray) -> bytes:
  """A gzipped idx file of bytes."""
  header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>u4').tobytes()
  return gzip.compress(header + array.tobytes())


def write_mnist(folder: pathlib.Path, num_train: int = 6, num_test: int = 4) -> None:
  """The four files of MNIST and KMNIST; labels count up from 0."""
  for prefix, count in (('train', num_train), ('t10k', num_test)):
    label = np.arange(count, dtype=np.uint8) % 10
    image = characters(count, seed=count)
    (folder / f'{prefix}-images-idx3-ubyte.gz').write_bytes(idx(image))
    (folder / f'{prefix}-labels-idx1-ubyte.gz').write_bytes(idx(label))


def write_emnist_letters(folder: pathlib.Path, count: int = 52) -> None:
  """gzip.zip; labels 1 to 26, images transposed as published."""
  with zipfile.ZipFile(folder / 'gzip.zip', 'w') as archive:
    for subset in ('train', 'test'):
      name = f'gzip/emnist-letters-{subset}'
      image = characters(count).transpose(0, 2, 1)
      label = (np.arange(count) % 26 + 1).astype(np.uint8)
      archive.writestr(f'{name}-images-idx3-ubyte.gz', idx(image.copy()))
      archive.writestr(f'{name}-labels-idx1-ubyte.gz', idx(label))


CIFAR_NAMES = (
  *('airplane', 'automobile', 'bird', 'cat', 'deer'),
  *('dog', 'frog', 'horse', 'ship', 'truck'),
)


def write_cifar10(folder: pathlib.Path, count: int = 3, cut: int = 0) -> None:
  """cifar-10-binary.tar.gz with `count` records a file, the last less `cut` bytes."""
  names = [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']
  with tarfile.open(folder / 'cifar-10-binary.tar.gz', 'w:gz') as archive:
    for name in names:
      data = cifar_records(name, count).tobytes()
      data = data[: len(data) - cut] if name == names[-1] else data
      _add(archive, f'cifar-10-batches-bin/{name}', data)
    _add(
      archive,
      'cifar-10-batches-bin/batches.meta.txt',
      '\n'.join([*CIFAR_NAMES, '']).encode(),
    )


def cifar_records(name: str, count: int) -> np.ndarray:
  """Labels 0, 1, ... before random pixels: [count, 3073] uint8."""
  rng = np.random.default_rng(len(name))
  records = rng.integers(0, 256, (count, 3073), np.uint8)
  records[:, 0] = np.arange(count) % 10
  return records


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
  member = tarfile.TarInfo(name)
  member.size = len(data)
  archive.addfile(member, io.BytesIO(data))


def jpeg(pixels: np.ndarray) -> bytes:
  file = io.BytesIO()
  PIL.Image.fromarray(pixels).save(file, 'jpeg', quality=95)
  return file.getvalue()


def write_celeb_a(folder: pathlib.Path, identities: list[int]) -> None:
  """The archive and four lists; of every three images one is val and one is test."""
  names = [f'{i + 1:06}.jpg' for i in range(len(identities))]
  with zipfile.ZipFile(folder / 'img_align_celeba.zip', 'w') as archive:
    for name in names:
      archive.writestr(f'img_align_celeba/{name}', jpeg(celeb_a_image()))
  rows = {
    'list_eval_partition.txt': ('', [i % 3 for i in range(len(names))]),
    'identity_CelebA.txt': ('', identities),
    'list_attr_celeba.txt': (_heading(names, _ATTRIBUTES), ['1 -1 ' * 20] * len(names)),
    'list_landmarks_align_celeba.txt': (
      _heading(names, _LANDMARKS),
      ['69 109 106 113 77 142 73 152 108 154'] * len(names),
    ),
  }
  for file, (heading, values) in rows.items():
    lines = [f'{name} {value}\n' for name, value in zip(names, values, strict=True)]
    (folder / file).write_text(heading + ''.join(lines))


def write_celeb_a_wild(folder: pathlib.Path, identities: list[int]) -> None:
  """The images in the wild, each an aligned one at twice the size, upside down.

  They stand 100 pixels from the left and 60 from the top of a grey 600x700.
  """
  write_celeb_a(folder, identities)
  (folder / 'img_celeba').mkdir()
  aligned = folder / 'list_landmarks_align_celeba.txt'
  lines = aligned.read_text().splitlines(keepends=True)[:2]
  for i in range(len(identities)):
    name = f'{i + 1:06}.jpg'
    face = PIL.Image.fromarray(celeb_a_image()).resize((356, 436), 0)
    picture = PIL.Image.new('RGB', (600, 700), (128, 128, 128))
    picture.paste(face.transpose(PIL.Image.Transpose.ROTATE_180), (100, 60))
    picture.save(folder / 'img_celeba' / name, quality=95)
    points = np.reshape([69, 109, 106, 113, 77, 142, 73, 152, 108, 154], (5, 2))
    turned = (100 + 356, 60 + 436) - 2 * points
    lines.append(f'{name} {" ".join(map(str, turned.ravel()))}\n')
  (folder / 'list_landmarks_celeba.txt').write_text(''.join(lines))


def celeb_a_image() -> np.ndarray:
  """Black, and white in exactly the 108x108 pixels that are cropped."""
  pixels = np.zeros((218, 178, 3), np.uint8)
  pixels[70:178, 35:143] = 255
  return pixels


def _heading(names: list[str], columns: str) -> str:
  return f'{len(names)}\n{columns}\n'


_LANDMARKS = (
  'lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y '
  'rightmouth_x rightmouth_y'
)
_ATTRIBUTES = (
  '5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips '
  'Big_Nose Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin '
  'Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open '
  'Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline '
  'Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat '
  'Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young'
)


def write_kuzushiji49(folder: pathlib.Path, num_train: int = 70, num_test: int = 30):
  """The four .npz files; labels count up from 0."""
  for subset, count in (('train', num_train), ('test', num_test)):
    label = (np.arange(count) % 49).astype(np.uint8)
    np.savez_compressed(
      folder / f'k49-{subset}-imgs.npz', characters(count, seed=count)
    )
    np.savez_compressed(folder / f'k49-{subset}-labels.npz', label)


DOGS = tuple(f'n{2085620 + i:08}-Breed_{i:03}' for i in range(120))


def write_stanford_dogs(folder: pathlib.Path, num_train: int = 1, num_test: int = 1):
  """The three archives; images of breed i are 40x30, and 2 i red.

  Those of the train subset are not green, and those of the test subset are.
  """
  lists, pictures, notes = {}, {}, {}
  for subset, count, green in (('train', num_train, 0), ('test', num_test, 200)):
    names = []
    for i, breed in enumerate(DOGS):
      for j in range(count):
        stem = f'{breed}/{breed.split("-")[0]}_{green + j}'
        names.append(f'{stem}.jpg')
        colour = np.full((30, 40, 3), (2 * i, green, 0), np.uint8)
        pictures[f'Images/{stem}.jpg'] = jpeg(colour)
        notes[f'Annotation/{stem}'] = _DOG_NOTE
    file = io.BytesIO()
    column = np.array([[name] for name in names], dtype=object)
    scipy.io.savemat(file, {'file_list': column})
    lists[f'{subset}_list.mat'] = file.getvalue()
  for name, content in (
    ('lists.tar', lists),
    ('images.tar', pictures),
    ('annotation.tar', notes),
  ):
    with tarfile.open(folder / name, 'w') as archive:
      for member, data in content.items():
        _add(archive, member, data)


_DOG_NOTE = b"""<annotation><size><width>40</width><height>30</height></size>
<object><bndbox><xmin>4</xmin><ymin>3</ymin><xmax>20</xmax><ymax>15</ymax></bndbox>
</object></annotation>"""
