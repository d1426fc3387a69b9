"""The program itself: flags, memory, models in memory, parameters of pictures, stopping."""

from __future__ import annotations

import signal
import sys
from typing import Any

import psutil
from fastapi import BackgroundTasks, HTTPException
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from modules.api.options import load_chosen
from modules.api.route import EaselApp, Route
from modules.images import read
from modules.images.decode import decode_base64
from modules.model_manager import FileKind
from modules.params import infotext_text


class MemoryReply(BaseModel):
    """Bytes of main memory, and of the device if it has its own."""

    ram: dict[str, Any]
    cuda: dict[str, Any]


class PngInfoRequest(BaseModel):
    """A picture in base64."""

    image: str


class PngInfoReply(BaseModel):
    """What a picture's file says."""

    info: str
    """The infotext, "" without one."""
    items: dict[str, Any]
    """The file's other texts."""
    parameters: dict[str, Any]
    """The infotext's values under their infotext names, with defaults."""
    program: str = ""
    """The other program whose metadata were turned into the infotext; not in A1111's reply."""
    not_mapped: list[str] = []
    """What that program said and the infotext does not; not in A1111's reply."""


def cmd_flags(app: EaselApp) -> dict[str, Any]:
    """All flags of the command line; passwords read "***"."""
    return app.flags.without_secrets()


def memory() -> MemoryReply:
    """Memory of this process and of the device."""
    total = psutil.virtual_memory().total
    used = psutil.Process().memory_info().rss
    ram = {"free": total - used, "used": used, "total": total}
    # Looked up, not imported: the API must answer before torch is loaded.
    return MemoryReply(ram=ram, cuda=cuda_memory(sys.modules.get("torch")))


def png_info(body: PngInfoRequest) -> PngInfoReply:
    """The parameters that a picture was made with, whichever program made it."""
    found = read(decode_base64(body.image))
    return PngInfoReply(
        info=found.infotext,
        items=dict(found.items),
        parameters=infotext_text.parse(found.infotext),
        program=found.program,
        not_mapped=list(found.not_mapped),
    )


def refresh_checkpoints(app: EaselApp) -> None:
    """Look for new checkpoints."""
    app.models.catalogue.refresh()


def refresh_vae(app: EaselApp) -> None:
    """Look for new VAE files, and for small ones that stand in for them."""
    app.models.vaes.refresh()
    app.models.library.refresh(FileKind.VAE_APPROX)


def refresh_loras(app: EaselApp) -> None:
    """Look for new LoRAs."""
    app.models.library.refresh(FileKind.LORA)


def refresh_embeddings(app: EaselApp) -> None:
    """Look for new textual inversion embeddings."""
    app.models.library.refresh(FileKind.EMBEDDING)


def unload_checkpoint(app: EaselApp) -> dict[str, Any]:
    """Give the models' memory back, once the running job is done."""
    app.models.unload()
    return {}


def reload_checkpoint(app: EaselApp) -> dict[str, Any]:
    """Load the model that the settings name, and wait for it."""
    load_chosen(app, app.settings.view())
    return {}


def stop_server(tasks: BackgroundTasks) -> PlainTextResponse:
    """End the program as Ctrl+C does: the running job is stopped, files are finished."""
    tasks.add_task(signal.raise_signal, signal.SIGTERM)
    return PlainTextResponse("Stopping.", background=tasks)


def restart_server() -> None:
    """Not possible: nothing would start the program again. 501."""
    raise HTTPException(501, "Easel cannot restart itself; stop it and start it again.")


ROUTES = (
    Route("GET", "/sdapi/v1/cmd-flags", cmd_flags),
    Route("GET", "/sdapi/v1/memory", memory),
    Route("POST", "/sdapi/v1/png-info", png_info),
    Route("POST", "/easel/v1/png-info", png_info),
    Route("POST", "/sdapi/v1/refresh-checkpoints", refresh_checkpoints),
    Route("POST", "/sdapi/v1/refresh-vae", refresh_vae),
    Route("POST", "/sdapi/v1/refresh-loras", refresh_loras),
    Route("POST", "/sdapi/v1/refresh-embeddings", refresh_embeddings),
    Route("POST", "/sdapi/v1/unload-checkpoint", unload_checkpoint),
    Route("POST", "/sdapi/v1/reload-checkpoint", reload_checkpoint),
)

STOP_ROUTES = (
    Route("POST", "/sdapi/v1/server-kill", stop_server),
    Route("POST", "/sdapi/v1/server-stop", stop_server),
    Route("POST", "/sdapi/v1/server-restart", restart_server),
)


def cuda_memory(torch: Any | None) -> dict[str, Any]:
    """A1111's figures of the CUDA device, or `error` with the reason why there are none.

    torch: the module, None while it is not loaded. All figures in bytes.
    """
    if torch is None:
        return {"error": "unknown until a model is loaded"}
    if not torch.cuda.is_available():
        return {"error": "unavailable: no CUDA device"}
    free, total = torch.cuda.mem_get_info()
    stats = torch.cuda.memory_stats()
    kinds = {
        "active": "active_bytes",
        "allocated": "allocated_bytes",
        "reserved": "reserved_bytes",
        "inactive": "inactive_split_bytes",
    }
    figures = {
        name: {which: stats.get(f"{key}.all.{which}", 0) for which in ("current", "peak")}
        for name, key in kinds.items()
    }
    return {
        "system": {"free": free, "used": total - free, "total": total},
        **figures,
        "events": {
            "retries": stats.get("num_alloc_retries", 0),
            "oom": stats.get("num_ooms", 0),
        },
    }
