import json

import pytest

from evenface.cli.main import main


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
    ]


def test_list_json_is_machine_readable(shop, capsys):
    code, out, _ = run(capsys, "assets", "list", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert set(rows) == {"model", "other", "album"}
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
