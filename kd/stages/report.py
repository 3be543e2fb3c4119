"""The report of a run, as a stage of it: what kd-collect does, started by the run itself when all jobs have ended.

It reads and writes in the run folder, never on scratch, and measures nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kd.report.write import collect_and_write
from kd.stages.context import StageContext, identity


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Write the report of the run that ``context.folder`` belongs to and return the contents of result.json.

    Jobs without a result are named in the report; they do not make this stage fail. The report's files are not listed
    as artefacts of the stage: kd-collect may write them again at any time.
    """
    run_folder = context.folder.run
    report = collect_and_write([run_folder.path], run_folder.report_json)
    return {
        "format": 1,
        **identity(spec),
        "missing": [hole for family in report.values() for hole in family["missing"]],
        "files": {},
        "job": dict(context.facts),
        "finished": time.time(),
    }
