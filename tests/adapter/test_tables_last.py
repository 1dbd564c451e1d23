"""What one process has built, a later one finds: tables, views over views, seeds, history."""

from pathlib import Path

import pytest

from tests.adapter.project import Project

SEED = 'id,said\n1,"a ""quoted"" word"\n2,"two\nlines"\n3,\n4,None\n5,it\'s\n'
ROWS = [
    {"id": 1, "said": 'a "quoted" word'},
    {"id": 2, "said": "two\nlines"},
    {"id": 3, "said": None},
    {"id": 4, "said": "None"},
    {"id": 5, "said": "it's"},
]
VIEW = "{{ config(materialized='view') }}\n"
FILES = {
    "seeds/words.csv": SEED,
    "models/a_above.sql": VIEW + "select * from {{ ref('b_below') }} where id > 1",
    "models/b_below.sql": VIEW + "select * from {{ ref('words') }}",
    "models/counted.sql": "select count(*) as n from {{ ref('a_above') }}",
    "models/from_pandas.py": "import pandas\ndef model(dbt, session):\n    return dbt.ref('words').toPandas()\n",
    "models/from_spark.py": "def model(dbt, session):\n    return dbt.ref('a_above').limit(2)\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.below(tmp_path_factory.mktemp("last"), FILES)
    project.process("build", cwd=project.root.parent)
    return project


def test_the_warehouse_is_below_the_project_whatever_the_working_directory(project: Project) -> None:
    assert [str(table) for table in project.warehouse.tables()] == [
        f"gold.{name}" for name in ("counted", "from_pandas", "from_spark", "words")
    ]


def test_no_file_of_the_project_names_a_machine(project: Project) -> None:
    written = [*project.root.glob("*.yml"), *(project.root / "models").iterdir()]
    assert not [file for file in written if str(project.root) in file.read_text(encoding="utf-8")]


def test_a_seed_is_what_the_file_says_also_the_second_time(project: Project) -> None:
    assert project.rows("gold.words") == ROWS
    project.dbt("seed")
    assert project.rows("gold.words") == ROWS


def test_python_models_return_either_frame(project: Project) -> None:
    assert project.rows("gold.from_pandas") == ROWS
    assert len(project.rows("gold.from_spark")) == 2


def test_a_later_process_reads_tables_and_views_over_views(project: Project) -> None:
    shown = project.dbt("show", "--inline", "select sum(id) as total from {{ ref('a_above') }}", "--output", "json")
    assert '"total": 14' in shown


def test_a_rebuild_keeps_the_history(project: Project) -> None:
    first = project.version("gold.counted")
    project.write({"models/counted.sql": "select count(*) + 1 as n from {{ ref('a_above') }}"})
    project.dbt("run", "--select", "counted")
    project.dbt("run", "--select", "counted", "--full-refresh")
    assert project.rows("gold.counted") == [{"n": 5}]
    assert project.rows("gold.counted", first) == [{"n": 4}]
    inline = f"select n from {{{{ ref('counted') }}}} version as of {first}"
    assert '"n": 4' in project.dbt("show", "--inline", inline, "--output", "json")


def test_the_catalogue_of_the_docs_has_every_column(project: Project) -> None:
    project.dbt("docs", "generate")
    catalogue = (project.root / "target" / "catalog.json").read_text(encoding="utf-8")
    assert all(f'"{name}"' in catalogue for name in ("words", "a_above", "said", "string", "bigint"))


def test_a_table_becomes_a_view_and_a_view_a_table(tmp_path: Path) -> None:
    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id", "models/two.sql": VIEW + "select 2 as id"})
    project.dbt("run")
    project.write({"models/one.sql": VIEW + "select 3 as id", "models/two.sql": "select 4 as id"})
    project.dbt("run")
    assert project.rows("gold.two") == [{"id": 4}]
    assert '"id": 3' in project.dbt("show", "--inline", "select id from {{ ref('one') }}", "--output", "json")
