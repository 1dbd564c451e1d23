"""Files that are written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from lakehouse.whole_files import replace_file


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "reports" / "page.html"
    replace_file(page, "old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        replace_file(page, "new")
    assert [file.name for file in page.parent.iterdir()] == ["page.html"]
    assert page.read_text() == "old"


def test_a_reader_of_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    replace_file(page, "old content")
    with page.open() as reader:
        assert reader.read(3) == "old"
        replace_file(page, "ä".encode())
        assert reader.read() == " content"
    assert page.read_text(encoding="utf-8") == "ä"


def test_only_the_owner_reads_a_private_file_and_a_link_stays(tmp_path: Path) -> None:
    file, link = tmp_path / "state" / "callers.json", tmp_path / "link"
    replace_file(file, "{}", private=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    link.symlink_to(file)
    replace_file(link, "[]")
    assert link.is_symlink()
    assert file.read_text() == "[]"
