"""Trains the small Stable Diffusion that ships with Easel; see README.md in this folder."""

from modules.setup import torchvision_compat

# Every module here imports diffusers, which imports torchvision: beside a CPU build of torch that
# only works once this hook stands, and this line is the only one that runs before all of them.
torchvision_compat.install()
