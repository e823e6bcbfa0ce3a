"""Whatever happens to a file, a reader lists it, refuses it, or fails at single images."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import picture

from evenface.data.formats import open_source
from evenface.errors import DataError


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as shard:
        for number in range(3):
            label = json.dumps({"identity": number, "sex": "f"}).encode()
            for name, data in (
                (f"{number}.png", picture(number, side=4)),
                (f"{number}.json", label),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
    return buffer.getvalue()[:7168]


def parquet() -> bytes:
    buffer = io.BytesIO()
    images = [{"bytes": picture(number, side=4), "path": "x"} for number in range(9)]
    columns = {"image": images, "label": list(range(9)), "sex": ["f"] * 9}
    pq.write_table(pa.table(columns), buffer, row_group_size=4)
    return buffer.getvalue()


def csv() -> bytes:
    return b"path,identity,sex\n" + b"".join(b"%d.png,p%d,f\n" % (n, n) for n in range(9))


@pytest.mark.parametrize("make", [tar, parquet, csv])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_never_surprises(
    make: Callable[[], bytes], tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(make())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] = data.draw(st.integers(0, 255))
        else:
            content[place : place + data.draw(st.integers(0, 600))] = data.draw(
                st.binary(min_size=1, max_size=9)
            )
    path = tmp_path / f"damaged.{make.__name__}"
    path.write_bytes(content)
    try:
        source = open_source(path)
    except DataError as error:
        assert path.name in str(error)
        return
    for number in range(len(source)):
        assert source.record(number).identity
        try:
            source.read(number)
        except OSError as error:
            assert str(error)
    assert json.dumps(source.description)
