"""Which private parts of Dagster are used: a new one is a decision, and one that has moved is noticed here."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import dynvision_assets
from dynvision_assets.instances.opening import SILENT_LOGS

USED = {
    "dagster._check:CheckError",
    "dagster._core.events:AssetMaterializationPlannedData",
    "dagster._core.instance.ref:InstanceRef",
    "dagster._core.remote_origin:ManagedGrpcPythonEnvCodeLocationOrigin",
    "dagster._core.remote_origin:RemoteJobOrigin",
    "dagster._core.remote_origin:RemoteRepositoryOrigin",
    "dagster._core.storage.sqlite_storage:DagsterSqliteStorage",
    "dagster._core.types.loadable_target_origin:LoadableTargetOrigin",
}


def imported_from_private_modules() -> set[str]:
    found = set()
    for path in Path(dynvision_assets.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster._"):
                found |= {f"{node.module}:{alias.name}" for alias in node.names}
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names if alias.name.startswith("dagster._")}
    return found


def test_the_private_parts_of_dagster_that_are_used_are_these_and_are_still_there() -> None:
    assert imported_from_private_modules() == USED
    for name in {*USED, f"{SILENT_LOGS['module']}:{SILENT_LOGS['class']}"}:
        assert pkgutil.resolve_name(name) is not None, name
