"""The REST API: A1111's routes and Easel's own, on FastAPI."""

from modules.api.server import build_server

__all__ = ["build_server"]
