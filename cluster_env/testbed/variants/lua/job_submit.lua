-- job_submit plugin of a site that keeps its own notes in the comment: whatever the user wrote there is lost.
function slurm_job_submit(job, partitions, user)
    job.comment = "billed to user " .. user
    return slurm.SUCCESS
end

function slurm_job_modify(job, record, partitions, user)
    return slurm.SUCCESS
end

return slurm.SUCCESS
