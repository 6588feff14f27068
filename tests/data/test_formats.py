from __future__ import annotations

import gzip
import os
import pickle

import numpy as np
import pytest

from companion.data import formats


def test_checksum_sees_name_dtype_shape_and_values_but_not_byte_order_or_strides():
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    same = [array.astype(">i8"), np.asfortranarray(array), np.stack([array, array])[:, :, ::1][0]]
    other = [array.astype(np.int32), array.reshape(3, 2), array + 1]
    reference = formats.canonical_checksum({"a": array})
    assert all(formats.canonical_checksum({"a": one}) == reference for one in same)
    assert all(formats.canonical_checksum({"a": one}) != reference for one in other)
    assert formats.canonical_checksum({"b": array}) != reference


@pytest.mark.parametrize("name", ["digits", "digits.gz"])
def test_idx_round_trip(tmp_path, write, name):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write.idx(tmp_path / name, array)
    assert np.array_equal(formats.read_idx(tmp_path / name), array)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", b"\0\0\x08\x01\0\0\0\x05abc", b"\0\0\x0d\x01\0\0\0\x03abc", b"<html>not here</html>"],
    ids=["empty", "no sizes", "too short", "other type", "a web page"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_broken_idx_is_named(tmp_path, content, zipped):
    path = tmp_path / ("broken.gz" if zipped else "broken")
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(formats.DamagedFileError, match=path.name):
        formats.read_idx(path)


def test_truncated_gzip_is_named(tmp_path, write):
    path = tmp_path / "cut.gz"
    write.idx(path, np.arange(200, dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(formats.DamagedFileError, match=r"cut\.gz"):
        formats.read_idx(path)


class _Calls:
    """A pickle of this object is a call of the given function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_runs_code_is_refused_before_it_runs(tmp_path, protocol):
    path, trace = tmp_path / "evil", tmp_path / "trace"
    path.write_bytes(pickle.dumps({"data": _Calls(os.system, f"touch {trace}")}, protocol=protocol))
    with pytest.raises(pickle.UnpicklingError, match=r"evil is refused.*system"):
        formats.read_pickle(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "evil",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n(S'1'\nS'upper'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"ccopyreg\n_reconstructor\n(cnumpy\nndarray\ncbuiltins\nobject\nNtR.",
        b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.",
        b"Pelsewhere\n.",
        b"\x80\x02}",
        b"",
    ],
    ids=["eval", "getattr", "load", "dotted name", "rebuilder", "codec", "persistent", "cut short", "empty"],
)
def test_other_pickles_are_refused(tmp_path, evil):
    (tmp_path / "evil").write_bytes(evil)
    with pytest.raises(pickle.UnpicklingError, match="evil is refused"):
        formats.read_pickle(tmp_path / "evil")


def test_array_as_python_2_pickled_it(tmp_path):
    state = (
        b"(K\x01K\x02\x85cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR" + state + b"\x89U\x02\x07\xfftb"
    )
    (tmp_path / "old").write_bytes(b"\x80\x02}U\x04data" + array + b"s.")
    assert formats.read_pickle(tmp_path / "old")["data"].tolist() == [7, 255]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_sparse_rows_without_scipy(tmp_path, protocol):
    from scipy.sparse import csr_matrix

    matrix = np.array([[0, 2.5, 0], [0, 0, 0], [1, 0, -1]], np.float32)
    (tmp_path / "rows").write_bytes(pickle.dumps(csr_matrix(matrix), protocol=protocol))
    result = formats.dense(formats.read_pickle(tmp_path / "rows"))
    assert result.dtype == np.float32
    assert np.array_equal(result, matrix)


def test_planetoid_with_a_gap_in_the_test_index(tmp_path, write):
    """Like CiteSeer: some node numbers of the test range are in no file."""
    labels = np.array([0, 1, 2, 1] + [0] * 500 + [1, 2, 0, 2, 1])
    nodes = np.arange(len(labels))
    features = np.random.default_rng(0).integers(0, 2, (len(labels), 6)).astype(np.float32)
    test = np.array([508, 504, 506])  # 505 and 507 are missing, the order is not sorted
    edges = np.array([[0, 1, 4, 508], [1, 0, 508, 4]])
    arrays = {"features": features, "labels": labels, "edges": edges, "train": nodes < 4, "test": np.isin(nodes, test)}
    folder = write.planetoid(tmp_path / "raw", "tiny", arrays, order=test)

    read = formats.read_planetoid(folder, "ind.tiny")
    assert np.flatnonzero(~read["labelled"]).tolist() == [505, 507]
    assert not read["features"][[505, 507]].any()
    assert read["labels"][[505, 507]].tolist() == [0, 0]
    there = read["labelled"]
    assert np.array_equal(read["features"][there], features[there])
    assert np.array_equal(read["labels"][there], labels[there])
    assert np.array_equal(read["edges"], edges)
    assert [int(read[split].sum()) for split in ("train", "val", "test")] == [4, 500, 3]
    assert not (read["train"] & read["val"]).any()


@pytest.mark.parametrize("protocol", [1, 2])
def test_planetoid_equals_pytorch_geometric(tmp_path, write, protocol):
    from torch_geometric.io import read_planetoid_data

    folder = write.planetoid(tmp_path / "raw", "cora", write.cora_arrays(), protocol=protocol)
    ours, theirs = formats.read_planetoid(folder, "ind.cora"), read_planetoid_data(str(folder), "cora")
    assert np.array_equal(ours["features"], theirs.x.numpy())
    assert np.array_equal(ours["labels"], theirs.y.numpy())
    for split in ("train", "val", "test"):
        assert np.array_equal(ours[split], theirs[f"{split}_mask"].numpy())
    edges = theirs.edge_index.numpy()
    assert np.array_equal(ours["edges"], edges[:, np.lexsort((edges[1], edges[0]))])
