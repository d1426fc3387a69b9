"""The queue of jobs, their progress, and where they run."""

from modules.jobs.job import Job, State
from modules.jobs.progress import Progress
from modules.jobs.queue import Backend, FunctionBackend, JobQueue, Move
from modules.jobs.store import open_store

__all__ = [
    "Backend",
    "FunctionBackend",
    "Job",
    "JobQueue",
    "Move",
    "Progress",
    "State",
    "open_store",
]
