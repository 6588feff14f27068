"""What is known of every data set: its classes, its files and their checksums, in each layout they come in.

Checksums of files are the publishers' own where they state any (MNIST, Fashion-MNIST, CIFAR, SVHN: MD5, as
torchvision pins them). Planetoid's authors state none: theirs were taken from files whose Git blob ids are those of
the authors' repository. `checksums` are of the decoded arrays (`companion.data.formats.canonical_checksum`), so they
do not depend on the layout. Fashion-MNIST and SVHN have none, because no full copy was at hand to take it from: there
the files' own checksums have to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from companion.data import formats

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Layout:
    """One way in which a data set's files may lie in a folder.

    Attributes:
        folders: where, seen from the root; the first that holds all files is taken.
        files: the files needed for each split.
        read: folder, files and split → arrays.
        slow: whether decoding takes seconds, so that the result is worth keeping in the cache.
    """

    folders: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    read: Callable[[Path, tuple[str, ...], str], Arrays]
    slow: bool = False


@dataclass(frozen=True)
class Entry:
    """One data set.

    Attributes:
        name: by which `load` knows it.
        title: by which people know it.
        kind: ``"images"`` or ``"graph"``.
        classes: names in the order of their indices.
        splits: the splits that `load` offers.
        layouts: the ways its files may lie; the first is the one it is downloaded in.
        digests: from a file's name to ``"md5:…"`` or ``"sha256:…"``.
        checksums: of the decoded arrays, by split.
        mean: a channel, of the training set; None to compute it at every load.
        std: the same for the standard deviation.
        sample_checksums: of the packaged sample's arrays, by split; None where there is no sample.
        megabytes: that a download of the whole fetches.
    """

    name: str
    title: str
    kind: str
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    layouts: tuple[Layout, ...]
    digests: Mapping[str, str]
    checksums: Mapping[str, str]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    sample_checksums: Mapping[str, str] | None = None
    megabytes: int = 0


# --------------------------------------------------------------------------------------- readers of whole layouts
def _read_idx_pair(folder: Path, files: tuple[str, ...], split: str) -> Arrays:
    images, labels = (formats.read_idx(folder / file) for file in files)
    if len(images) != len(labels):
        raise formats.DamagedFileError(f"{folder / files[0]} holds {len(images)} images for {len(labels)} labels")
    return {"inputs": images[:, None].copy(), "labels": labels.astype(np.int64)}


def _read_strips(folder: Path, files: tuple[str, ...], split: str) -> Arrays:
    *strips, labels = files
    with np.load(folder / labels, allow_pickle=False) as arrays:
        labels = arrays[f"y_{split}"].astype(np.int64)
    return {"inputs": np.concatenate([formats.read_strips(folder / file) for file in strips]), "labels": labels}


def _read_cifar_pickles(folder: Path, files: tuple[str, ...], split: str) -> Arrays:
    batches = [formats.read_pickle(folder / file) for file in files]
    labels = [batch["fine_labels"] if "fine_labels" in batch else batch["labels"] for batch in batches]
    inputs = np.concatenate([np.asarray(batch["data"], np.uint8).reshape(-1, 3, 32, 32) for batch in batches])
    return {"inputs": inputs, "labels": np.concatenate([np.asarray(row, np.int64) for row in labels])}


def _read_svhn(folder: Path, files: tuple[str, ...], split: str) -> Arrays:
    content = formats.read_mat(folder / files[0])
    labels = content["y"].reshape(-1).astype(np.int64) % 10  # the files call the digit 0 "10"
    return {"inputs": np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1)), "labels": labels}


def _read_planetoid(folder: Path, files: tuple[str, ...], split: str) -> Arrays:
    return formats.read_planetoid(folder, files[0].rpartition(".")[0])


# -------------------------------------------------------------------------------------------------------- layouts
def _idx_layouts(folder: str) -> tuple[Layout, ...]:
    names = {"train": "train", "test": "t10k"}
    pairs = {split: (f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte") for split, stem in names.items()}
    zipped = {split: tuple(f"{file}.gz" for file in files) for split, files in pairs.items()}
    return tuple(Layout((f"{folder}/raw",), files, _read_idx_pair) for files in (zipped, pairs))


def _cifar_layouts(strips: str, pickles: str, train: tuple[str, ...], test: tuple[str, ...]) -> tuple[Layout, ...]:
    zips = {"train": ("train_0.zip", "train_1.zip", "labels.npz"), "test": ("test.zip", "labels.npz")}
    return (
        Layout((pickles,), {"train": train, "test": test}, _read_cifar_pickles),
        Layout((strips,), zips, _read_strips, slow=True),
    )


def _planetoid_layout(folder: str) -> Layout:
    files = tuple(f"ind.{folder.lower()}.{part}" for part in formats.PLANETOID_PARTS)
    places = (f"Planetoid/{folder}/raw", f"{folder}/raw", f"{folder}/{folder}/raw")
    return Layout(places, dict.fromkeys(("train", "val", "test"), files), _read_planetoid)


# ------------------------------------------------------------------------------------------------------ data sets
_IMAGE_SPLITS, _GRAPH_SPLITS = ("train", "test"), ("train", "val", "test")
_DIGITS = tuple("0123456789")

_CIFAR100_CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
    lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
    shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
    television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905
)

_PLANETOID_DIGESTS = {
    "ind.citeseer.allx": "sha256:2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
    "ind.citeseer.ally": "sha256:f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
    "ind.citeseer.graph": "sha256:d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
    "ind.citeseer.test.index": "sha256:2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    "ind.citeseer.tx": "sha256:539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
    "ind.citeseer.ty": "sha256:55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
    "ind.citeseer.x": "sha256:d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
    "ind.citeseer.y": "sha256:8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    "ind.cora.allx": "sha256:9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.ally": "sha256:2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "sha256:58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "sha256:297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    "ind.cora.tx": "sha256:b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.ty": "sha256:41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.x": "sha256:23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.y": "sha256:94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.pubmed.allx": "sha256:508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e",
    "ind.pubmed.ally": "sha256:0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
    "ind.pubmed.graph": "sha256:5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
    "ind.pubmed.test.index": "sha256:b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
    "ind.pubmed.tx": "sha256:4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
    "ind.pubmed.ty": "sha256:ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
    "ind.pubmed.x": "sha256:fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
    "ind.pubmed.y": "sha256:e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
}


def _planetoid(
    folder: str, title: str, classes: tuple[str, ...], checksum: str, megabytes: int, *, sample: bool = False
) -> Entry:
    layout, checksums = _planetoid_layout(folder), dict.fromkeys(_GRAPH_SPLITS, checksum)
    digests = {file: _PLANETOID_DIGESTS[file] for file in layout.files["train"]}
    return Entry(
        folder.lower(), title, "graph", classes, _GRAPH_SPLITS, (layout,), digests, checksums,
        sample_checksums=checksums if sample else None, megabytes=megabytes,
    )  # fmt: skip


_ENTRIES = (
    Entry(
        name="mnist",
        title="MNIST",
        megabytes=12,
        kind="images",
        classes=_DIGITS,
        splits=_IMAGE_SPLITS,
        layouts=_idx_layouts("MNIST"),
        digests={
            "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
            "train-images-idx3-ubyte": "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        checksums={
            "train": "1788636198ad7eed7b09001d697d044f0a62d497af8fc0aa65c5b76af1c5ea6f",
            "test": "62c60995b028e7cf914509bb94956d8fc06e5788e1ed3fda328699bf182444cf",
        },
        mean=(0.1306604762738429,),
        std=(0.3081078038564627,),
        sample_checksums={
            "train": "a6c2d6b1432557250142a1e4286fab2977f61df9beffe7738fd741437fe3f441",
            "test": "8a77fc5ed82b850061b3849fa4edcca21e0b082c4b73230dc2250276c9b2bed0",
        },
    ),
    Entry(
        name="fashion_mnist",
        title="Fashion-MNIST",
        megabytes=31,
        kind="images",
        classes=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        splits=_IMAGE_SPLITS,
        layouts=_idx_layouts("FashionMNIST"),
        digests={
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
        checksums={},
    ),
    Entry(
        name="cifar10",
        title="CIFAR-10",
        megabytes=170,
        kind="images",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        splits=_IMAGE_SPLITS,
        layouts=_cifar_layouts(
            "cifar10", "cifar-10-batches-py", tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)
        ),
        digests={
            "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
            "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
            "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "md5:40351d587109b95175f43aff81a1287e",
            "train_0.zip": "sha256:6b7543565a1d1e4871d7ebc7339ba8eb6e3695aafb7793c0104a8b97e7abed17",
            "train_1.zip": "sha256:9f84331cfc37960d1e94f13c8bfc882b194eab6dbb31342ea5d3e154efaf29e7",
            "test.zip": "sha256:234ec05c770e8f931f47f31fb5b7f290576d8bbf46eed336d15504d72af1f1d9",
            "labels.npz": "sha256:82ad897fcc7478583d2a354d25f2486fc7c6cfe5ea7615e43b00e3ce491efd30",
        },
        checksums={
            "train": "1d0ac30cc57f06056b00f99e6724c19ba68ed88266db7ee7b69beb1d73341c6d",
            "test": "3a7bb0aac0bfb0e87162efa0d3b6ac2580e7843bbb4e920636f75e75b0a6e49b",
        },
        mean=(0.49139967861519607, 0.48215840839460783, 0.44653091444546567),
        std=(0.24703223246328201, 0.24348512800005553, 0.2615878417279645),
        sample_checksums={
            "train": "0ad5f1a0b43af3c1491f9bab523c9da8d0d22896f089a2e26dde9612f195a208",
            "test": "0e4c8d00a4fff81cd299e0988f2942d900d5667ae3430634b161a0dba8e12ada",
        },
    ),
    Entry(
        name="cifar100",
        title="CIFAR-100",
        megabytes=169,
        kind="images",
        classes=_CIFAR100_CLASSES,
        splits=_IMAGE_SPLITS,
        layouts=_cifar_layouts("cifar100", "cifar-100-python", ("train",), ("test",)),
        digests={
            "train": "md5:16019d7e3df5f24257cddd939b257f8d",
            "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
            "train_0.zip": "sha256:a98de68deb3e227786d43112de0510fbe7b2b557bc21f72478c349a2ea93b91a",
            "train_1.zip": "sha256:0ba81ba869d95d134c66f9f0523a5f149a01ded32a0b509fb9b0fb167287f54b",
            "test.zip": "sha256:39c015ecb9f60152351244101b8290149e633cbb3d0228ce37c658509bf6bb42",
            "labels.npz": "sha256:c09b5eff57cce3694de89135bd880d267af975faa87bd20f1fe14213bdee8700",
        },
        checksums={
            "train": "b95708df3bacd216fad23c38e1beb973a604416cec7220c1c63d53b1ee71d8d8",
            "test": "11d07e7374297690829ed1eccb1dfc8e0af823db64ad125cdc90ef73f7522a7a",
        },
        mean=(0.5070751592371323, 0.48654887331495095, 0.4409178433670343),
        std=(0.2673342858792406, 0.2564384629170881, 0.27615047132568393),
        sample_checksums={
            "train": "c70c4b6bce0398c51d23ffb59c0f7868200074294cc08dc2f1c44bae39b79dd0",
            "test": "c0f402215f927a34365bd4700a86f5cb6ce7603bf37d293b13863179969782cc",
        },
    ),
    Entry(
        name="svhn",
        title="SVHN",
        megabytes=246,
        kind="images",
        classes=_DIGITS,
        splits=_IMAGE_SPLITS,
        layouts=(
            Layout(("SVHN", "svhn", "."), {split: (f"{split}_32x32.mat",) for split in _IMAGE_SPLITS}, _read_svhn),
        ),
        digests={
            "train_32x32.mat": "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "md5:eb5a983be6a315427106f1b164d9cef3",
        },
        checksums={},
    ),
    _planetoid(
        "Cora",
        "Cora",
        (
            "theory", "reinforcement learning", "genetic algorithms", "neural networks", "probabilistic methods",
            "case-based", "rule learning",
        ),
        "4f2f3bae1f05df86a8dc3853cd8f96f2dcbc1c45fe95a567a2a4b32d43816bd3",
        1,
        sample=True,
    ),
    _planetoid(
        "CiteSeer",
        "CiteSeer",
        (
            "artificial intelligence", "machine learning", "information retrieval", "databases", "agents",
            "human-computer interaction",
        ),
        "a78ea246fd0c7ce55ba83c2518addd1995a75a43ceef8ce655fa89f044444be5",
        1,
    ),
    _planetoid(
        "PubMed",
        "PubMed",
        ("diabetes mellitus, experimental", "diabetes mellitus type 1", "diabetes mellitus type 2"),
        "b32f6038d4e7119eaa23ececb315e4856fb1e3723dcb333a4671cfca65493bba",
        9,
    ),
)  # fmt: skip

#: Every data set by name.
CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
