"""The page in the browser, on gradio."""

from modules.ui.build import build_page
from modules.ui.mount import mount_page

__all__ = ["build_page", "mount_page"]
