"""The one definition of every parameter, and the texts that carry parameters."""

from modules.params.face import Face, Parameter, parameters
from modules.params.generation import GenerationParams, Txt2ImgParams
from modules.params.img2img import Img2ImgParams
from modules.params.request import Img2ImgBody, Params, Request, Txt2ImgBody, params_class

__all__ = [
    "Face",
    "GenerationParams",
    "Img2ImgBody",
    "Img2ImgParams",
    "Parameter",
    "Params",
    "Request",
    "Txt2ImgBody",
    "Txt2ImgParams",
    "parameters",
    "params_class",
]
