"""Old names of `tests.helpers.stores`, kept until every test imports from there."""

from tests.helpers.stores import layout_of, open_writer, write_batches, write_responses  # noqa: F401
