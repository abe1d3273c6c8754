"""Type names shared by the parts of the workflow. Nothing heavy is imported here."""

from typing import Any, TypeAlias

# a configuration or a part of one, or a table row: values of various types by name
Config: TypeAlias = dict[str, Any]
# any value in a configuration
Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
