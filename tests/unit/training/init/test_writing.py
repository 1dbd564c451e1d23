"""Files of a proposal: all or none, never over another, and the differences of a second run."""

import tempfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from training.init.__main__ import main
from training.init.errors import InitRefused
from training.init.names import require_usable
from training.init.proposing.proposal import Proposal, Wishes, propose
from training.init.reading.habits import Habits
from training.init.reading.opening import open_table
from training.init.writing.files import PlannedFiles, WritingRefused, planned_files, write_files
from training.use_case.use_case import load

ODD = ["it's", "a \\ b", 'say "hi"', "no", "1:30", "100 %", "{{ x }}", "ünï"]


def proposed(folder: Path, name: str = "shop") -> Proposal:
    lines = ["id,price,kind,sold"]
    lines += [
        f'{row},{row % 7}.5,"{ODD[row % len(ODD)].replace(chr(34), chr(34) * 2)}",{"yn"[row % 3 == 0]}'
        for row in range(90)
    ]
    path = folder / "shop.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    given = open_table(str(path), Habits(), Path(tempfile.mkdtemp(dir=folder)), "300MB")
    return propose(name, given, Wishes("sold"))


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_files_are_valid_and_a_second_run_writes_none(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    planned = planned_files(proposed(tmp_path), {})
    written = write_files(planned, project)
    assert set(written) == set(files(project))
    for path, text in files(project).items():
        if path.endswith(".yml"):
            yaml.safe_load(text)
    use_case = load("shop", project / "training" / "use_cases")
    assert use_case.golden_request["kind"] == ODD[0]
    assert str(use_case.task) == "binary"
    assert write_files(planned, project) == []


def test_a_second_run_says_what_differs_and_changes_nothing(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write_files(planned_files(proposed(tmp_path), {}), project)
    use_case = project / "training" / "use_cases" / "shop.yml"
    use_case.write_text(
        use_case.read_text(encoding="utf-8").replace("minimum: 0.55", "minimum: 0.6"), encoding="utf-8"
    )
    (project / "dbt_project" / "models" / "gold" / "shop" / "shop_labels.sql").unlink()
    before = files(project)
    with pytest.raises(WritingRefused) as refused:
        write_files(planned_files(proposed(tmp_path), {}), project)
    assert "training/use_cases/shop.yml\n    -  minimum: 0.6\n    +  minimum: 0.55" in refused.value.failed
    assert "not there yet: dbt_project/models/gold/shop/shop_labels.sql" in refused.value.failed
    assert files(project) == before


@pytest.mark.parametrize("texts", [{"a/b.yml": "x"}, {}])  # an earlier run may have written every file
def test_a_project_that_cannot_be_written_to_is_refused(tmp_path: Path, texts: dict[str, str]) -> None:
    project = tmp_path / "project"
    project.write_text("a file", encoding="utf-8")
    with pytest.raises(WritingRefused, match="cannot be written to: Not a directory; nothing was written"):
        write_files(PlannedFiles(texts, {}), project)


def test_an_error_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("a file where a folder is needed", encoding="utf-8")
    with pytest.raises(WritingRefused, match="nothing was written"):
        write_files(PlannedFiles({"a/one.yml": "1", "b/two.yml": "2"}, {}), tmp_path)
    assert files(tmp_path) == {"b": "a file where a folder is needed"}
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_model_of_the_same_name_in_another_folder_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "project"
    other = project / "dbt_project" / "models" / "staging" / "raw_shop.sql"
    other.parent.mkdir(parents=True)
    other.write_text("select 1 as x", encoding="utf-8")
    with pytest.raises(WritingRefused, match=r"a model raw_shop already, in dbt_project/.*/raw_shop\.sql"):
        write_files(planned_files(proposed(tmp_path), {}), project)
    assert list(files(project)) == ["dbt_project/models/staging/raw_shop.sql"]


def test_a_name_that_is_taken_is_refused_before_the_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.init.command.open_table", None)
    result = CliRunner().invoke(main, ["no_such_file.csv", "--target", "any", "--name", "orders"])
    assert isinstance(result.exception, WritingRefused)
    assert "the project has a model raw_orders already, in dbt_project/models/staging/" in str(result.exception)


def test_an_interruption_while_files_are_moved_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    planned, rename, moved = planned_files(proposed(tmp_path), {}), Path.rename, list[Path]()

    def interrupted(draft: Path, place: Path) -> Path:
        if len(moved) == 3:
            raise KeyboardInterrupt
        moved.append(place)
        return rename(draft, place)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_files(planned, project)
    assert len(moved) == 3
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("none", "a word of YAML, and not a text"),
        ("schema", "a word of dbt or of this project"),
        ("select", "a word of SQL"),
        ("lambda", "a word of Python"),
        ("AUX", "a name that Windows keeps for a device"),
    ],
)
def test_a_name_that_is_a_word_of_another_system_is_refused_with_its_owner(name: str, owner: str) -> None:
    with pytest.raises(InitRefused, match=f"--name '{name}' is {owner}\n.*--name {name.lower()}_data"):
        require_usable(name)


def test_a_name_with_other_characters_or_of_great_length_is_refused() -> None:
    with pytest.raises(InitRefused, match="--name kunden_2024"):
        require_usable("Kunden 2024")
    with pytest.raises(InitRefused, match="has 80 characters, and may have 60"):
        require_usable("a" * 80)
