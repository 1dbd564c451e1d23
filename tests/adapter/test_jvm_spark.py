"""Adapter on JVM Spark with Delta, over Spark Connect."""

from pathlib import Path

import pytest

from benchmarks.harness.jvm_spark import available
from tests.adapter.project import Project

pytestmark = [pytest.mark.jvm, pytest.mark.skipif(not available(), reason="no java on the PATH")]

CONTRACT = """
models:
  - name: held
    config: {contract: {enforced: true}}
    columns:
      - name: id
        data_type: bigint
        constraints: [{type: not_null}, {type: check, expression: "id > 0", name: positive}]
"""
MERGED = """
{{ config(materialized='incremental', unique_key='id') }}
{% if is_incremental() %}
select id, word || '!' as word from {{ ref('words') }} where id = 2
{% else %}
select id, word from {{ ref('words') }}
{% endif %}
"""


def test_a_project_builds_twice_and_enforces_a_check_on_jvm_spark(jvm_spark: str, tmp_path: Path) -> None:
    files = {
        "seeds/words.csv": "id,word\n1,one\n2,two\n3,\n",
        "models/held.sql": "select id from {{ ref('words') }}",
        "models/held.yml": CONTRACT,
        "models/merged.sql": MERGED,
        "models/from_spark.py": "def model(dbt, session):\n    return dbt.ref('words').where('word is not null')\n",
    }
    project = Project.below(tmp_path, files, jvm_spark)
    project.process("build")
    project.process("build")
    project.write({"models/held.sql": "select -id as id from {{ ref('words') }}"})
    project.process("build", "--select", "held", exits=1)
    assert [row["word"] for row in project.rows("gold.merged")] == ["one", "two!", None]
    assert project.rows("gold.held") == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert len(project.rows("gold.from_spark")) == 2
    assert project.properties("gold.held")["delta.constraints.positive"] == "id > 0"
