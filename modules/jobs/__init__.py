"""The queue of jobs, their progress, and where they run."""

from modules.jobs.progress import Progress
from modules.jobs.queue import Backend, FunctionBackend, Job, JobQueue, State

__all__ = ["Backend", "FunctionBackend", "Job", "JobQueue", "Progress", "State"]
