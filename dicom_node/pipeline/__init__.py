"""Where the stages are joined: intake (assemble, route), analysis (read, infer, report), work (job by job)."""
