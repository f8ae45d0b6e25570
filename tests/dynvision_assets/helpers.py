"""Old names of `tests.helpers`, kept until every test imports from there."""

from tests.helpers.chains import copy_root, open_workspace, records, states  # noqa: F401
from tests.helpers.commands import call_dynvision, environment, run_dynvision, run_python  # noqa: F401
from tests.helpers.configuration import CONFIG, edit_config, write_config  # noqa: F401
from tests.helpers.instances import latest_check, materializations, open_instance  # noqa: F401
