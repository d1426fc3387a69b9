"""torchvision beside any torch, and the module that basicsr misses, in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2]

SCRIPT = f"""
import sys
sys.path.insert(0, {str(PROGRAM)!r})
from modules.setup.torchvision_compat import install
install(); install()
assert "torch" not in sys.modules
assert sum(type(f).__name__ == "_Finder" for f in sys.meta_path) == 1
import torch, torchvision, importlib.resources
from torchvision.transforms.functional_tensor import rgb_to_grayscale
torch.manual_seed(0)
corner = torch.rand(60, 2) * 50
boxes = torch.cat([corner, corner + 5 + torch.rand(60, 2) * 20], 1)
scores = torch.rand(60)

def overlap(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])
    return width * height / (area(a) + area(b) - width * height)

kept = []
for index in scores.argsort(descending=True).tolist():
    if all(overlap(boxes[index].tolist(), boxes[k].tolist()) <= 0.3 for k in kept):
        kept.append(index)
assert 5 < len(kept) < 55
assert torchvision.ops.nms(boxes, scores, 0.3).tolist() == kept
assert torchvision.ops.nms(boxes[:0], scores[:0], 0.3).tolist() == []
assert rgb_to_grayscale(torch.ones(3, 2, 2)).shape == (1, 2, 2)
assert importlib.resources.files("torchvision").joinpath("ops").is_dir()
print("fine")
"""


def test_torchvision_works_in_a_fresh_interpreter() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "fine\n", done.stderr
