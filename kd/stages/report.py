"""Stage kind "report": the report of a run, as a stage of it.

It does what kd-collect does, once all other jobs have ended. It reads and writes in the run folder, never on scratch,
and measures nothing.
"""

from __future__ import annotations

from kd.report.write import collect_and_write
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import ReportSettings, StageSpec
from kd.stages.context import StageContext
from kd.stages.result_file import identity


def run(context: StageContext, spec: StageSpec[ReportSettings]) -> StageResult:
    """Write the report of the run that ``context.folder`` belongs to and return the result.

    Jobs without a result are named in the report; they do not make this stage fail. The report's files are not listed
    as artefacts of the stage: kd-collect may write them again at any time.
    """
    run_folder = context.folder.run
    report = collect_and_write([run_folder.path], run_folder.report_json)
    missing = [hole for family in report.values() for hole in family.missing]
    return StageResult(**identity(context, spec, files={}), missing=missing)
