"""Many pictures, one after another: which, with which mask, to where, and what became of each."""

from modules.batch.notes import Notes
from modules.batch.plan import Item, find_masks, list_pictures, plan_items
from modules.batch.run import BatchRun, Progress

__all__ = ["BatchRun", "Item", "Notes", "Progress", "find_masks", "list_pictures", "plan_items"]
