"""The manifest: columns, groups, subsets, moving about, and what is refused."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenface.data.manifest import Manifest
from evenface.data.store import ImageStore
from evenface.errors import DataError, UsageError


def people(stores: Path, **changes: object) -> Manifest:
    columns: dict = {
        "index": [4, 0, 2, 9],
        "identity": ["bo", "al", "bo", "cy"],
        "origin": "real",
        "dataset": "little",
        "licence": "CC0-1.0",
        "split": ["train", "train", "test", "test"],
        "attributes": {
            "ethnicity": ["north", "south", "north", None],
            "gender": ["f", "m", "f", "f"],
        },
        "attribute_sources": {"gender": ["declared", "predicted", "declared", "predicted"]},
    }
    return Manifest.from_columns(stores / "real", **(columns | changes))


@pytest.fixture
def manifest(stores: Path) -> Manifest:
    return people(stores)


def test_columns(manifest: Manifest) -> None:
    assert len(manifest) == 4
    assert manifest.attributes == ("ethnicity", "gender")
    assert manifest.column("index").dtype == np.int64
    assert manifest.column("index").tolist() == [4, 0, 2, 9]
    assert manifest.column("origin").tolist() == ["real"] * 4
    assert manifest.column("notes").tolist() == [""] * 4
    assert manifest.column("ethnicity").tolist() == ["north", "south", "north", None]
    assert manifest.column("ethnicity_source").tolist() == ["declared"] * 3 + [""]
    assert manifest.column("gender_source").tolist()[1] == "predicted"


def test_labels_index_the_sorted_identities(manifest: Manifest) -> None:
    assert manifest.identities() == ["al", "bo", "cy"]
    assert manifest.labels().tolist() == [1, 0, 1, 2]
    assert manifest.labels().dtype == np.int64


def test_groups(manifest: Manifest) -> None:
    assert manifest.groups().tolist() == ["north", "south", "north", "unknown"]
    assert manifest.groups("gender").tolist() == ["f", "m", "f", "f"]
    assert manifest.groups(["ethnicity", "gender"]).tolist() == [
        "north × f",
        "south × m",
        "north × f",
        "unknown × f",
    ]
    with pytest.raises(UsageError, match=r"no attribute 'age'.*ethnicity, gender"):
        manifest.groups("age")


def test_without_attributes_there_is_one_group(stores: Path) -> None:
    plain = people(stores, attributes={}, attribute_sources={})
    assert plain.groups().tolist() == ["all"] * 4


def test_select_and_where(manifest: Manifest) -> None:
    assert manifest.select([3, 0]).column("identity").tolist() == ["cy", "bo"]
    assert manifest.select(np.array([True, False, False, True])).column("index").tolist() == [4, 9]
    assert manifest.where(split="test").column("index").tolist() == [2, 9]
    assert manifest.where(split="train", identity=["al", "cy"]).column("index").tolist() == [0]
    assert manifest.where(index=9).identities() == ["cy"]
    assert len(manifest.where(ethnicity="west")) == 0
    with pytest.raises(ValueError, match="mask has shape"):
        manifest.select(np.array([True]))
    with pytest.raises(IndexError):
        manifest.select([4])
    with pytest.raises(UsageError, match="no column 'colour'"):
        manifest.where(colour="red")


def test_with_column(manifest: Manifest) -> None:
    assert set(manifest.with_column("split", "all").column("split")) == {"all"}
    assert set(manifest.column("split")) == {"train", "test"}
    with pytest.raises(ValueError, match="cannot be replaced"):
        manifest.with_column("index", "3")
    with pytest.raises(ValueError, match="'origin' holds 'drawn'"):
        manifest.with_column("origin", "drawn")


def test_images_come_in_row_order(manifest: Manifest, stores: Path) -> None:
    store = ImageStore.open(stores / "real")
    np.testing.assert_array_equal(manifest.images(), store[[4, 0, 2, 9]])
    np.testing.assert_array_equal(manifest.images([2, 1]), store[[2, 0]])
    np.testing.assert_array_equal(manifest.images(slice(1, 3)), store[[0, 2]])
    np.testing.assert_array_equal(manifest.images([-1]), store[[9]])
    assert manifest.images([]).shape == (0, 112, 112, 3)


def test_images_of_several_stores(manifest: Manifest, stores: Path) -> None:
    other = people(stores, origin="synthetic", store="../synthetic")
    both = Manifest.concat([manifest, other]).select([5, 0, 4])
    real, synthetic = ImageStore.open(stores / "real"), ImageStore.open(stores / "synthetic")
    expected = np.stack([synthetic[0], real[4], synthetic[4]])
    np.testing.assert_array_equal(both.images(), expected)


def test_concat_unites_attributes(manifest: Manifest, stores: Path) -> None:
    other = people(
        stores, attributes={"age_band": ["20s", None, "30s", "40s"]}, attribute_sources={}
    )
    both = Manifest.concat([manifest, other])
    assert both.attributes == ("ethnicity", "gender", "age_band")
    assert both.column("ethnicity").tolist()[4:] == [None] * 4
    assert both.column("age_band").tolist() == [None] * 4 + ["20s", None, "30s", "40s"]
    assert both.column("age_band_source").tolist()[3:6] == ["", "declared", ""]
    with pytest.raises(ValueError, match="nothing"):
        Manifest.concat([])


def test_written_elsewhere_it_finds_its_store(
    manifest: Manifest, stores: Path, tmp_path: Path
) -> None:
    path = tmp_path / "far" / "away" / "manifest.parquet"
    manifest.write(path)
    again = Manifest.read(path.parent)
    assert not Path(again.column("store")[0]).is_absolute()
    np.testing.assert_array_equal(again.images(), manifest.images())
    assert again.attributes == manifest.attributes
    assert again.table.drop_columns("store").equals(manifest.table.drop_columns("store"))


def test_written_through_a_symbolic_link(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "down")
    manifest.write(tmp_path / "link" / "manifest.parquet")
    again = Manifest.read(str(tmp_path / "link" / "manifest.parquet"))
    np.testing.assert_array_equal(again.images(), manifest.images())


def test_the_whole_folder_can_move(stores: Path, tmp_path: Path) -> None:
    shutil.copytree(stores / "real", tmp_path / "one")
    own = Manifest.from_columns(
        tmp_path / "one", index=[1], identity="p", origin="real", dataset="d", licence="l"
    )
    own.write(tmp_path / "one" / "manifest.parquet")
    before = own.fingerprint
    (tmp_path / "one").rename(tmp_path / "two")
    moved = Manifest.read(tmp_path / "two")
    assert moved.column("store").tolist() == ["."]
    assert moved.fingerprint == before


def test_fingerprints_depend_on_content_only(
    manifest: Manifest, stores: Path, tmp_path: Path
) -> None:
    manifest.write(tmp_path / "m.parquet")
    again = Manifest.read(tmp_path / "m.parquet")
    assert again.fingerprint == manifest.fingerprint
    assert again.image_fingerprint == manifest.image_fingerprint
    assert again.with_column("licence", "other").fingerprint == manifest.fingerprint


@pytest.mark.parametrize(
    ("changes", "images_too"),
    [
        ({"identity": ["bo", "al", "bo", "bo"]}, False),
        ({"attributes": {"ethnicity": ["north"] * 4}, "attribute_sources": {}}, False),
        ({"index": [4, 0, 2, 8]}, True),
        ({"store": "../synthetic"}, True),
    ],
)
def test_fingerprints_see_changes(
    manifest: Manifest, stores: Path, changes: dict, images_too: bool
) -> None:
    other = people(stores, **changes)
    assert other.fingerprint != manifest.fingerprint
    assert (other.image_fingerprint != manifest.image_fingerprint) is images_too


def test_fingerprint_sees_the_order(manifest: Manifest) -> None:
    turned = manifest.select([3, 2, 1, 0])
    assert turned.image_fingerprint != manifest.image_fingerprint
    assert turned.fingerprint != manifest.fingerprint


def test_pickle(manifest: Manifest) -> None:
    manifest.images([0])
    again = pickle.loads(pickle.dumps(manifest))
    np.testing.assert_array_equal(again.images(), manifest.images())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"origin": "drawn"}, "'origin' holds 'drawn'"),
        ({"identity": ["a", "b"]}, "2 values for 4 rows"),
        ({"identity": None}, "empty cells"),
        ({"attribute_sources": {"gender": "guessed"}}, "'guessed'"),
        ({"attribute_sources": {"age": "declared"}}, "attributes that are not given: age"),
        ({"attributes": {"Skin Tone": "x"}, "attribute_sources": {}}, "cannot name an attribute"),
        ({"attributes": {"split": "x"}, "attribute_sources": {}}, "cannot name an attribute"),
    ],
)
def test_wrong_columns(stores: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        people(stores, **changes)


def broken(manifest: Manifest, path: Path, table: pa.Table) -> Path:
    """Write ``table`` under the metadata of ``manifest``."""
    manifest.write(path)
    metadata = pq.read_schema(path).metadata
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def test_read_refuses_a_broken_table(manifest: Manifest, stores: Path) -> None:
    path = stores / "real" / "broken.parquet"
    table = manifest.table
    place = table.schema.get_field_index
    cases = {
        "columns are missing: identity": table.drop_columns("identity"),
        "'identity' is int64": table.set_column(
            place("identity"), "identity", pa.array([1, 2, 3, 4])
        ),
        "'index' is string": table.set_column(place("index"), "index", pa.array(["a"] * 4)),
        "no rows": table.slice(0, 0),
        "'split' has 1 empty": table.set_column(
            place("split"), "split", pa.array(["a", None, "b", "c"])
        ),
        "row 2 points at image 120": table.set_column(
            place("index"), "index", pa.array([0, 1, 120, 3])
        ),
        "row 1 points at image -1": table.set_column(
            place("index"), "index", pa.array([0, -1, 1, 3])
        ),
        "must be set exactly where": table.set_column(
            place("gender_source"), "gender_source", pa.array(["", "", "", ""])
        ),
        "no image store here": table.set_column(place("store"), "store", pa.array(["gone"] * 4)),
    }
    for message, bad in cases.items():
        with pytest.raises(DataError, match=message):
            Manifest.read(broken(manifest, path, bad))
    path.unlink()


def test_read_takes_other_text_and_integer_types(manifest: Manifest, stores: Path) -> None:
    path = stores / "real" / "other.parquet"
    table = manifest.table
    place = table.schema.get_field_index
    table = table.set_column(
        place("identity"), "identity", table["identity"].cast(pa.large_string())
    )
    table = table.set_column(place("split"), "split", table["split"].dictionary_encode())
    table = table.set_column(place("index"), "index", table["index"].cast(pa.uint16()))
    assert Manifest.read(broken(manifest, path, table)).fingerprint == manifest.fingerprint
    path.unlink()


def test_read_refuses_what_is_no_manifest(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such manifest"):
        Manifest.read(tmp_path)
    path = tmp_path / "m.parquet"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="not a readable Parquet"):
        Manifest.read(path)
    path.rename(tmp_path / "lfw.bin")
    with pytest.raises(DataError, match=r"not a manifest.*evaluate MODEL --protocol"):
        Manifest.read(tmp_path / "lfw.bin")
    manifest.write(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a readable Parquet"):
        Manifest.read(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="no evenface manifest"):
        Manifest.read(path)
    for header, message in ((b"{", "damaged"), (b'{"version": 9, "attributes": []}', "version 9")):
        table = manifest.table.replace_schema_metadata({b"evenface": header})
        pq.write_table(table, path)
        with pytest.raises(DataError, match=message):
            Manifest.read(path)


def test_nothing_is_not_written(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without rows"):
        manifest.select([]).write(tmp_path / "m.parquet")
    assert list(tmp_path.iterdir()) == []


def test_group_codes(manifest: Manifest) -> None:
    names, codes = manifest.group_codes(["ethnicity", "gender"])
    assert names == ["north × f", "south × m", "unknown × f"]
    assert codes.tolist() == [0, 1, 0, 2]
    names, codes = manifest.group_codes(["ethnicity", "gender"], partial=False)
    assert names == ["north × f", "south × m", "unknown"]
    assert codes.tolist() == [0, 1, 0, 2]
    assert manifest.select([]).group_codes("gender")[0] == []
    assert manifest.group_codes(())[0] == ["all"]


def test_crossings_that_are_written_alike_are_one_group(stores: Path) -> None:
    twins = people(
        stores,
        attributes={"a": ["x", "x × y", None, "z"], "b": ["y × z", "z", "z", None]},
        attribute_sources={},
    )
    names, codes = twins.group_codes(["a", "b"])
    assert names == ["unknown × z", "x × y × z", "z × unknown"]
    assert codes.tolist() == [1, 1, 0, 2]


def test_predicted_values_bear_a_confidence(manifest: Manifest, tmp_path: Path) -> None:
    labelled = manifest.with_attribute(
        "age_band",
        ["20s", "30s", None, "40s"],
        source=["predicted", "declared", "predicted", "predicted"],
        confidence=[0.5, 0.9, 0.8, np.nan],
    )
    assert labelled.attributes == ("ethnicity", "gender", "age_band")
    np.testing.assert_array_equal(labelled.confidence("age_band"), [0.5, 1, np.nan, np.nan])
    np.testing.assert_array_equal(labelled.confidence("gender"), [1, np.nan, 1, np.nan])
    labelled.write(tmp_path / "m.parquet")
    again = Manifest.read(tmp_path / "m.parquet")
    np.testing.assert_array_equal(again.confidence("age_band"), labelled.confidence("age_band"))
    both = Manifest.concat([manifest, again.select([0, 1])])
    assert both.column("age_band").tolist() == [None] * 4 + ["20s", "30s"]
    np.testing.assert_array_equal(both.confidence("age_band"), [np.nan] * 4 + [0.5, 1])
    # Declaring it anew forgets what was predicted.
    declared = again.with_attribute("age_band", "20s")
    assert "age_band_confidence" not in declared.table.column_names
    assert (declared.confidence("age_band") == 1).all()
    for confidence in ([2, 0, 0, 0], [-1, 0, 0, 0], [np.inf, 0, 0, 0]):
        with pytest.raises(ValueError, match="outside 0 to 1"):
            manifest.with_attribute("a", "x", source="predicted", confidence=confidence)
    with pytest.raises(ValueError, match="cannot name an attribute"):
        labelled.with_attribute("age_band_confidence", "x")
    with pytest.raises(UsageError, match="no attribute 'mood'"):
        manifest.confidence("mood")


def test_read_refuses_broken_confidences(manifest: Manifest, tmp_path: Path) -> None:
    labelled = manifest.with_attribute(
        "age_band", "20s", source="predicted", confidence=[0.5] * 4
    ).with_attribute("hair", "dark")
    path = tmp_path / "m.parquet"
    labelled.write(path)
    table = pq.read_table(path)
    place = table.schema.get_field_index("age_band_confidence")
    declared = pa.array([0.5] * 4, type=pa.float32())
    for bad, message in (
        (table.set_column(place, "age_band_confidence", pa.array(["x"] * 4)), "expected float"),
        (table.set_column(place, "age_band_confidence", pa.array([7.0] * 4)), "outside 0 to 1"),
        (table.append_column("hair_confidence", declared), "where nothing is predicted"),
    ):
        pq.write_table(bad.replace_schema_metadata(table.schema.metadata), path)
        with pytest.raises(DataError, match=message):
            Manifest.read(path)


def test_large_tables_are_written_block_by_block(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.write(tmp_path / "one.parquet")
    monkeypatch.setattr("evenface.data.manifest._GROUP_ROWS", 3)
    manifest.write(tmp_path / "many.parquet")
    assert pq.ParquetFile(tmp_path / "one.parquet").num_row_groups == 1
    assert pq.ParquetFile(tmp_path / "many.parquet").num_row_groups == 2
    one, many = (Manifest.read(tmp_path / f"{name}.parquet") for name in ("one", "many"))
    assert one.table.equals(many.table)
    assert one.fingerprint == many.fingerprint == manifest.fingerprint
    assert set(map(str, pq.read_schema(tmp_path / "one.parquet").types)) == {"string", "int64"}


def test_dictionaries_of_other_programs(manifest: Manifest, stores: Path) -> None:
    path = stores / "real" / "other.parquet"
    table = manifest.table
    place = table.schema.get_field_index
    odd = pa.DictionaryArray.from_arrays(
        pa.array([2, 2, 0, 1], type=pa.int8()), pa.array(["test", "unused", "train"])
    )
    table = table.set_column(place("split"), "split", odd)
    read = Manifest.read(broken(manifest, path, table))
    assert read.column("split").tolist() == ["train", "train", "test", "unused"]
    assert read.fingerprint == manifest.fingerprint
    path.unlink()


def test_a_subset_knows_only_its_own_values(manifest: Manifest) -> None:
    one = manifest.select([3])
    assert one.identities() == ["cy"]
    assert one.codes("identity") == (["cy"], [0])
    assert one.groups().tolist() == ["unknown"]
    assert one.table.column("identity").to_pylist() == ["cy"]
    fresh = Manifest.from_columns(
        manifest.folder,
        index=[9],
        identity="cy",
        origin="real",
        dataset="little",
        licence="CC0-1.0",
        split="test",
        attributes={"ethnicity": [None], "gender": ["f"]},
    )
    assert one.fingerprint == fresh.fingerprint
    twice = Manifest.concat([one, manifest])
    assert twice.column("identity").tolist() == ["cy", "bo", "al", "bo", "cy"]
    assert pickle.loads(pickle.dumps(one)).identities() == ["cy"]
