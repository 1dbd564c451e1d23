"""The image and its compose file: folders that the server writes to are volumes."""

import re

import yaml

from lakehouse.settings import PROJECT, Settings

HOSTING = PROJECT / "deployment" / "hosting"
DOCKERFILE = (HOSTING / "Dockerfile").read_text(encoding="utf-8")
SERVER = yaml.safe_load((HOSTING / "compose.yml").read_text(encoding="utf-8"))["services"]["model-server"]
ROOT = "/srv/lakehouse"


def test_state_and_warehouse_are_volumes_owned_by_the_server_user() -> None:
    (made,) = re.findall(r"install --directory --owner=server .*", DOCKERFILE)
    warehouse = Settings.from_environment(SERVER["environment"]).warehouse.relative_to(PROJECT)
    mounted = [volume.partition(":")[2] for volume in SERVER["volumes"]]
    assert SERVER["read_only"] and mounted == [f"{ROOT}/.serving", f"{ROOT}/{warehouse}"]
    assert [folder for folder in mounted if folder not in made.split()] == []


def test_the_image_has_every_package_of_the_server_and_its_commands() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    allowed = set(re.findall(r"^!(\w+)$", (HOSTING / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.M))
    assert copied == allowed == {"lakehouse", "scoring", "training", "deployment"}
