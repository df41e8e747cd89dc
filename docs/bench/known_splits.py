"""Fingerprints of published lists of radiographs, and what these lists share.

    python docs/bench/known_splits.py NAME=PATH [NAME=PATH …]

makes the figures of crates/data/src/known_splits.rs. Needs only Python. A list is a text file whose
lines begin with an image name, or a table with a column `Image` or `Image Index`; folders before a
name are left out. Lists of the 112,120 radiographs of NIH ChestX-ray14 that are embedded:

    nih_train_val   official_train_val_list.txt   NIH Clinical Center, beside the images
    nih_test        official_test_list.txt        the same
    nih             the image names of Data_Entry_2017.csv, or both of the above
    chexnet_train   ChestX-ray14/labels/train_list.txt   github.com/arnoweng/CheXNet, 3d45ee7
    chexnet_valid   ChestX-ray14/labels/val_list.txt     the same
    chexnet_test    ChestX-ray14/labels/test_list.txt    the same
    sample          sample_labels.csv             Kaggle's "Random Sample of NIH Chest X-ray Dataset"
    small_train     train-small.csv               the write-up's own tables
    small_valid     valid-small.csv               the same
    small_test      test.csv                      the same

The fingerprint is the SHA-256 of the sorted names joined by line feeds. The patient is what stands
before the `_` of a name. One line is printed for each list, then one for each two that share anything.
"""
import csv
import hashlib
import itertools
import pathlib
import sys


def names_of(path):
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    if path.endswith(".csv"):
        rows = list(csv.DictReader(lines))
        column = "Image" if "Image" in rows[0] else "Image Index"
        names = [row[column] for row in rows]
    else:
        names = [line.split()[0] for line in lines if line.strip()]
    names = [name.rsplit("/", 1)[-1] for name in names]
    if len(set(names)) != len(names):
        sys.exit(f"{path}: a name is there twice")
    return set(names)


def patients(names):
    return {name.split("_")[0] for name in names}


lists = {}
for argument in sys.argv[1:]:
    name, path = argument.split("=", 1)
    lists[name] = names_of(path)
if not lists:
    sys.exit(__doc__)
for name, images in lists.items():
    digest = hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()
    print(f"{name}: {digest} {len(images)} radiographs, {len(patients(images))} patients")
for (one, these), (other, those) in itertools.combinations(lists.items(), 2):
    n_images, n_patients = len(these & those), len(patients(these) & patients(those))
    if n_patients:
        print(f"{one} and {other}: {n_images} radiographs, {n_patients} patients")
