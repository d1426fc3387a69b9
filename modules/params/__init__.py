"""The one definition of every parameter, and the texts that carry parameters."""

from modules.params.face import Face, Parameter, parameters
from modules.params.generation import GenerationParams, Txt2ImgParams
from modules.params.request import Request, Txt2ImgBody

__all__ = [
    "Face",
    "GenerationParams",
    "Parameter",
    "Request",
    "Txt2ImgBody",
    "Txt2ImgParams",
    "parameters",
]
