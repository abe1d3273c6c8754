"""Names for the structures that parts of the workflow hand to each other. Nothing heavy is imported here."""

from typing import Any, TypeAlias

# a configuration or a part of one, or a row of a table: values of many types under names
Config: TypeAlias = dict[str, Any]
