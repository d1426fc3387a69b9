"""Model families behind one protocol: encode prompts, predict, encode and decode pictures."""

from modules.pipelines.base import EncodeOptions, Pipeline
from modules.pipelines.spec import SPECS, Family, Prediction, Spec

__all__ = ["SPECS", "EncodeOptions", "Family", "Pipeline", "Prediction", "Spec"]
