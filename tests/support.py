"""Old names of `tests.helpers`, kept until every test imports from there."""

from tests.helpers.archives import MNIST_FILES, write_cifar100_archive, write_mnist_files  # noqa: F401
from tests.helpers.chains import build_chain  # noqa: F401
from tests.helpers.configuration import PROJECT_CONFIG, edit_yaml, set_at, write_small_config  # noqa: F401
from tests.helpers.files import find_leftovers, flip_byte, md5  # noqa: F401
from tests.helpers.servers import closed_address, serve_folder  # noqa: F401
