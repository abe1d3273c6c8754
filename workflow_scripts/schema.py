"""Write schemas/config.schema.json from its fragments (waypoint/workflow/config/fragments.py).

python workflow_scripts/schema.py
"""

import json

from waypoint.workflow.config.fragments import schema
from waypoint.workflow.config.schema import SCHEMA

if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
