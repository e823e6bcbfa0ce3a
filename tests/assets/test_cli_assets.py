import json
from pathlib import Path

import pytest

from evenface.cli.main import main
from evenface.files import sha256_file

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


def test_list_tells_state_and_licence(shop, capsys):
    run(capsys, "assets", "get", "model", "--from", str(shop.model))
    code, out, _ = run(capsys, "assets", "list")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["model", "present"],
        ["other", "missing"],
        ["album", "missing"],
        ["yunet", "in"],
    ]


def test_list_json_is_machine_readable(shop, capsys):
    code, out, _ = run(capsys, "assets", "list", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert set(rows) == {"model", "other", "album", "yunet"}
    assert rows["model"]["state"] == "missing"
    assert rows["model"]["licence"] == "CC0-1.0"
    assert rows["model"]["size"] == 1050


def test_get_prints_the_paths(shop, capsys, tmp_path):
    code, out, _ = run(capsys, "assets", "get", "--all", "--cache-dir", str(tmp_path / "c"))
    assert code == 0
    assert [line.rsplit("/", 1)[-1] for line in out.splitlines()] == [
        "model.onnx",
        "other.onnx",
        shop.wheel.name,
    ]


def test_the_detector_is_in_the_package(shop, capsys):
    code, out, _ = run(capsys, "assets", "get", "yunet")
    assert code == 0
    assert sha256_file(Path(out.strip())) == YUNET_SHA256
    assert shop.cached_files() == []
    rows = {row["name"]: row for row in json.loads(run(capsys, "assets", "list", "--json")[1])}
    assert rows["yunet"]["sha256"] == YUNET_SHA256
    assert (rows["yunet"]["state"], rows["yunet"]["size"]) == ("in package", 232_589)


@pytest.mark.parametrize("arguments", [[], ["model", "--all"], ["nothing"]])
def test_get_without_sense_is_a_usage_error(shop, capsys, arguments):
    code, out, err = run(capsys, "assets", "get", *arguments)
    assert code == 2
    assert out == ""
    assert "known: model, other, album" in err


def test_get_failure_is_told_without_a_traceback(shop, capsys):
    shop.wheel.unlink()
    code, _, err = run(capsys, "assets", "get", "album")
    assert code == 1
    assert "error: asset 'album' could not be fetched" in err
    assert "Traceback" not in err
