"""The authors' weights by name: from a stand-in of Google Drive to a model that `AutoModel` loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drive_server import DriveFile, DriveServer
from hub_support import hub_for_this_process
from oracle_support.folder import Oracle, oracle_folder
from transformers_uniref.conversion import tensor_list, transfer
from transformers_uniref.conversion.download import DownloadError, download
from transformers_uniref.conversion.transfer import TransferError
from transformers_uniref.core import released_models as released
from transformers_uniref.core.model_home import is_here, is_partly_here, model_folder, original_file
from transformers_uniref.core.model_names import NotDownloadedError, model_location, name_of
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.verification.drawn_weights import original_state_dict

SMALL = released.ReleasedWeights(
    "uniref-pp-small", "ResNet", "Objects365 pretraining", (), "1smallsmallsmallsmallsmall", "small", 300_000, 2
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint as the released code would have saved it, without a text encoder."""
    path = tmp_path_factory.mktemp("original") / "small.pth"
    entries = Oracle(oracle_folder()).manifest("small_r50_boxinst")["entries"]
    torch.save({"model": original_state_dict(entries), "iteration": 9}, path)
    return path


@pytest.fixture(autouse=True)
def small_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name `uniref-pp-small`, its list of tensors, and a home of its own."""
    lists = tmp_path / "lists"
    shutil.copytree(tensor_list.FOLDER, lists)
    entries = Oracle(oracle_folder()).manifest("small_r50_boxinst")["entries"]
    lines = [
        f"{entry['name']} {'x'.join(map(str, entry['shape'])) or '-'}"
        f"{' optional' if entry.get('rule', 'gen') == 'keep' else ''}\n"
        for entry in entries
    ]
    (lists / "small.txt").write_text("".join(lines))
    monkeypatch.setattr(tensor_list, "FOLDER", lists)
    monkeypatch.setitem(released.RELEASED_BY_NAME, SMALL.name, SMALL)
    monkeypatch.setenv("UNIREF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("UNIREF_MIRROR", raising=False)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DriveServer]:
    with DriveServer(tmp_path) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def serve(drive: DriveServer, original: Path, **options: Any) -> DriveFile:
    drive.files[SMALL.drive_id] = file = DriveFile(original, **options)
    return file


def nothing_is_left(name: str = SMALL.name) -> bool:
    folder = model_folder(name).parent
    return not is_here(name) and not (folder.is_dir() and list(folder.iterdir()))


@pytest.mark.parametrize("manner", ["direct", "confirm"])
def test_a_file_becomes_a_model_that_the_auto_classes_load_by_its_name(
    drive: DriveServer, original: Path, manner: Any
) -> None:
    from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoProcessor

    serve(drive, original, manner=manner)
    seen: list[tuple[int, int | None]] = []
    made = download(SMALL.name, progress=lambda done, total: seen.append((done, total)))
    size = original.stat().st_size
    assert seen[-1] == (size, size)
    assert not made.was_here and made.folder == model_folder(SMALL.name)
    assert not is_partly_here(SMALL.name)
    model = AutoModel.from_pretrained(SMALL.name)
    assert type(model).__name__ == "UniRefModel"
    assert AutoConfig.from_pretrained(SMALL.name).model_type == "uniref"
    assert type(AutoProcessor.from_pretrained(SMALL.name)).__name__ == "UniRefProcessor"
    assert type(AutoImageProcessor.from_pretrained(SMALL.name)).__name__.startswith("UniRefImageProcessor")
    provenance = json.loads((made.folder / "provenance.json").read_text())
    assert provenance["released"] == SMALL.name and provenance["source"] == SMALL.page
    assert provenance["source_sha256"] == made.sha256 and len(made.sha256) == 64
    assert name_of(made.folder) == SMALL.name


def test_what_is_here_is_not_fetched_again(drive: DriveServer, original: Path) -> None:
    serve(drive, original)
    first = download(SMALL.name)
    asked = len(drive.requests)
    again = download(SMALL.name)
    assert again.was_here and again.sha256 == first.sha256 and len(drive.requests) == asked
    assert not download(SMALL.name, force=True).was_here and len(drive.requests) > asked


def test_a_broken_transfer_is_gone_on_with_at_once(drive: DriveServer, original: Path) -> None:
    size = original.stat().st_size
    serve(drive, original, breaks_after=[size // 3])
    assert download(SMALL.name).folder.is_dir()
    assert any("bytes=" in request for request in drive.requests)
    assert drive.sent < 1.5 * size


def test_a_broken_transfer_is_gone_on_with_by_the_next_command(
    drive: DriveServer, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "RETRIES", 0)
    size = original.stat().st_size
    file = serve(drive, original, breaks_after=[size // 3])
    with pytest.raises(TransferError, match=r"broke off; the same command goes on from there; \d+ MB are kept"):
        download(SMALL.name)
    assert nothing_is_left() and is_partly_here(SMALL.name) and not original_file(SMALL.name).exists()
    file.breaks_after += [size, size // 3]  # the first of two requests only asks what there is
    with pytest.raises(TransferError):
        download(SMALL.name)
    drive.requests.clear()
    assert download(SMALL.name).folder.is_dir()
    starts = [int(request.split("bytes=")[1].split("-")[0]) for request in drive.requests if "bytes=" in request]
    assert starts and min(starts) > size // 3, drive.requests


def test_a_server_that_cannot_go_on_begins_anew(
    drive: DriveServer, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "RETRIES", 0)
    size = original.stat().st_size
    serve(drive, original, breaks_after=[size // 3], ranges=False)
    with pytest.raises(TransferError):
        download(SMALL.name)
    assert download(SMALL.name).folder.is_dir()
    assert size < drive.sent < 3 * size


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("quota", "quota is used up"),
        ("missing", "no such file"),
        ("private", "may not be read by everyone"),
        ("login", "gave a page instead of the file"),
    ],
)
def test_what_google_drive_refuses_ends_in_one_clear_line(
    drive: DriveServer, original: Path, manner: Any, said: str, capsys: pytest.CaptureFixture
) -> None:
    serve(drive, original, manner=manner)
    assert main(["download", SMALL.name]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line for line in lines if "error" in line] == [lines[-1]]
    assert said in lines[-1] and SMALL.drive_id in lines[-1]
    assert nothing_is_left() and not is_partly_here(SMALL.name)


def test_a_page_in_place_of_a_file_is_not_kept(drive: DriveServer) -> None:
    drive.files["weights.pth"] = DriveFile(None, "page")
    with pytest.raises(TransferError, match="a web page instead of a file"):
        download(SMALL.name, "https://mirror.example/weights.pth")
    assert nothing_is_left() and not is_partly_here(SMALL.name)


def test_no_server_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "RETRIES", 0)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(TransferError, match="the server cannot be reached"):
        download(SMALL.name)


def test_another_file_is_refused_and_not_kept(drive: DriveServer, original: Path, tmp_path: Path) -> None:
    state = torch.load(original, weights_only=True)["model"]
    name = next(iter(state))
    state["foreign.weight"] = state.pop(name)
    path = tmp_path / "other.pth"
    torch.save({"model": state}, path)
    serve(drive, path)
    with pytest.raises(
        DownloadError, match=r"not the checkpoint of uniref-pp-small: 1 missing \(.*1 that it should not"
    ):
        download(SMALL.name)
    assert nothing_is_left() and not is_partly_here(SMALL.name)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(original.read_bytes()[:100_000])
    with pytest.raises(DownloadError, match="not readable as a PyTorch checkpoint"):
        download(SMALL.name, cut)
    assert cut.is_file() and nothing_is_left()


def test_a_file_of_this_machine_is_converted_and_left_where_it_is(original: Path) -> None:
    made = download(SMALL.name, original)
    assert original.is_file() and made.source == "small.pth" and made.original is None
    kept = download(SMALL.name, original, keep_original=True, force=True)
    assert kept.original == original_file(SMALL.name)
    assert kept.original.read_bytes() == original.read_bytes()


def test_a_later_download_that_differs_is_noticed(drive: DriveServer, original: Path, tmp_path: Path) -> None:
    download(SMALL.name, original)
    state = torch.load(original, weights_only=True)["model"]
    changed = tmp_path / "changed.pth"
    torch.save({"model": {name: value * 2 for name, value in state.items()}}, changed)
    serve(drive, changed)
    with pytest.warns(UserWarning, match=r"not the one of the earlier download from small\.pth"):
        download(SMALL.name, force=True)


def test_a_full_disk_is_told_before_anything_is_fetched(
    drive: DriveServer, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(drive, original)
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match="UNIREF_HOME names another place"):
        download(SMALL.name)
    assert not drive.requests


def test_a_missing_tokenizer_is_told_before_anything_is_fetched(drive: DriveServer) -> None:
    with pytest.raises(DownloadError, match="`text_encoder`"):
        download("uniref-pp-r50", text_encoder="no/such-tokenizer")
    assert not drive.requests


def test_a_name_that_is_not_here_says_how_to_get_it() -> None:
    from transformers import AutoModel, AutoProcessor, pipeline

    from transformers_uniref import UniRefModel

    said = r"^uniref-pp-r50 is not on this machine yet: uniref download uniref-pp-r50"
    ways = [
        AutoModel.from_pretrained,
        AutoProcessor.from_pretrained,
        UniRefModel.from_pretrained,
        lambda name: pipeline("referring-segmentation", model=name),
        model_location,
    ]
    for way in ways:
        with pytest.raises(NotDownloadedError, match=said):
            way("uniref-pp-r50")


def test_the_bundled_model_is_found_by_its_name_without_an_export() -> None:
    from transformers import AutoModel, AutoProcessor, pipeline

    assert type(AutoModel.from_pretrained("uniref-pp")).__name__ == "UniRefModel"
    assert AutoProcessor.from_pretrained("uniref-pp").tokenizer is not None
    assert pipeline("few-shot-segmentation", model="uniref-pp").model.config.model_type == "uniref"


def test_a_folder_of_that_name_goes_before(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModel

    made = download(SMALL.name, original)
    elsewhere = tmp_path / "work"
    shutil.copytree(made.folder, elsewhere / "uniref-pp-r50")
    monkeypatch.chdir(elsewhere)
    assert model_location("uniref-pp-r50") == "uniref-pp-r50"
    assert (
        AutoModel.from_pretrained("uniref-pp-r50").config.d_model
        == AutoModel.from_pretrained(made.folder).config.d_model
    )


def test_names_that_are_none_pass_untouched(tmp_path: Path) -> None:
    from transformers import AutoModel

    with pytest.raises(OSError) as caught:
        AutoModel.from_pretrained(str(tmp_path / "nothing"))
    assert not isinstance(caught.value, NotDownloadedError)
    with pytest.raises(ValueError, match=r"`name` must be one of .*did you mean uniref-pp-r50"):
        download("uniref-pp-r5")
    with pytest.raises(ValueError, match="`source` must be a URL, an existing file or a Hub id"):
        download(SMALL.name, "no such file.pth")


def test_the_list_tells_what_is_here(original: Path, capsys: pytest.CaptureFixture) -> None:
    download("uniref-pp-small", original)
    assert main(["download", "--list"]) == 0
    text = capsys.readouterr().out
    assert "uniref-pp-swin-l-pretrain" in text and "DAVIS 2017 81.5" in text and "the weights name none" in text
    assert max(map(len, text.splitlines())) <= 120
    assert main(["download", "--list", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert len(entries) == 6 and entries["uniref-pp-r50"]["here"] is False
    assert entries["uniref-pp-r50"]["published"][0]["value"] == 75.63


def test_the_page_fetches_with_the_progress_in_sight(
    drive: DriveServer, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers_uniref.frontends.app import released_models
    from transformers_uniref.frontends.errors import UserError

    monkeypatch.setattr(released_models, "_SECONDS_BETWEEN_LINES", 0.01)
    file = serve(drive, original)
    lines = list(released_models.fetch(SMALL.name))
    assert lines[0].startswith("Fetching uniref-pp-small") and lines[-1].endswith("press “Use this model”.")
    assert any(" of 153 MB" in line for line in lines) and is_here(SMALL.name)
    shutil.rmtree(model_folder(SMALL.name))
    file.manner = "quota"
    with pytest.raises(UserError, match="quota is used up"):
        list(released_models.fetch(SMALL.name))


def test_a_mirror_on_the_hub_is_pushed_with_its_provenance_and_asked_first(
    drive: DriveServer, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    figure = released.PublishedFigure("refcoco", "RefCOCO", "val", "oIoU", 75.63)
    monkeypatch.setitem(released.RELEASED_BY_NAME, SMALL.name, replace(SMALL, figures=(figure,)))
    serve(drive, original)
    first = download(SMALL.name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with hub_for_this_process(tmp_path / "hub") as hub:
        assert main(["push", SMALL.name, f"lab/{SMALL.name}", "--license", "other"]) == 0
        card = hub.files(f"lab/{SMALL.name}")["README.md"].decode()
        assert first.sha256 in card and SMALL.page in card
        assert "**Published by the authors**" in card and "| RefCOCO | val | oIoU | 75.63 |" in card
        assert "so none are claimed" in card and f'from_pretrained("lab/{SMALL.name}")' in card
        shutil.rmtree(first.folder)
        drive.requests.clear()
        monkeypatch.setenv("UNIREF_MIRROR", "lab")
        again = download(SMALL.name)
        assert again.source == f"lab/{SMALL.name}" and again.sha256 == first.sha256 and not drive.requests
        from transformers import AutoModel

        assert type(AutoModel.from_pretrained(SMALL.name)).__name__ == "UniRefModel"
        # A mirror of something else is refused, and the authors' file taken.
        capsys.readouterr()
        assert main(["push", "uniref-pp", "other/uniref-pp-small", "--license", "apache-2.0"]) == 0
        monkeypatch.setenv("UNIREF_MIRROR", "other")
        assert main(["download", SMALL.name, "--force"]) == 0
        said = capsys.readouterr().err
        assert (
            "other/uniref-pp-small is no mirror of uniref-pp-small" in said
            and "going on with the authors' file" in said
        )
        assert drive.requests
        with pytest.raises(DownloadError, match="is no mirror of"):
            download(SMALL.name, "other/uniref-pp-small", force=True)
        with pytest.raises(TransferError, match="nobody/nothing cannot be had from the Hub"):
            download(SMALL.name, "nobody/nothing", force=True)
    assert is_here(SMALL.name)


@pytest.mark.parametrize("weights", released.RELEASED, ids=lambda weights: weights.name)
def test_each_list_of_tensors_is_that_of_a_model_of_so_many_parameters(weights: released.ReleasedWeights) -> None:
    from math import prod

    from transformers_uniref.conversion.model_check import model_shapes

    listed = tensor_list.tensor_list(weights.tensor_list)
    bytes_of_values = sum(4 * prod(entry.shape) for entry in listed.values() if not entry.optional)
    assert round(bytes_of_values / 1e6) == pytest.approx(weights.megabytes, rel=0.006)
    assert sum(prod(shape) for shape in model_shapes(weights.tensor_list).values()) == pytest.approx(
        weights.parameters, rel=0.01
    )
