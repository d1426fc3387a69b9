"""Pip's output in words. The lines are real ones."""

import pytest

from modules.setup.pip_output import PipProgress, explain_failure

INSTALL = """\
Looking in indexes: https://pypi.org/simple
Collecting torch==2.13.0 (from -r requirements.txt (line 1))
  Downloading https://example.org/torch-2/torch-2.13.0-cp311-linux_x86_64.whl (899.7 MB)
Processing /my files-1/x-2/numpy-2.4.6-cp311-linux_x86_64.whl (from -r requirements.txt (line 3))
Collecting open_clip-torch==3.3.0 (from -r requirements.txt (line 5))
  Downloading open_clip_torch-3.3.0-py3-none-any.whl (1.5 MB)
Collecting torch==2.13.0 (from -r requirements.txt (line 1))
Collecting filelock (from torch==2.13.0->-r requirements.txt (line 1))
  Downloading filelock-4.2.11-py3-none-any.whl (30 kB)
Requirement already satisfied: lark in ./x (from -r requirements.txt (line 6)) (1.3.1)
Installing collected packages: mpmath, filelock, torch
Successfully installed filelock-4.2.11 mpmath-1.3.0 torch-2.13.0
"""


def test_progress_tells_what_of_how_many() -> None:
    progress = PipProgress(4)
    told = [message for line in INSTALL.splitlines() if (message := progress.feed(line))]
    assert told == [
        "1 of 4: torch",
        "Downloading torch (899.7 MB)",
        "2 of 4: numpy",
        "3 of 4: open-clip-torch",
        "4 of 4: lark",
        "Installing 3 packages",
    ]
    assert progress.packages == 3


FAILURES = {
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": (
        "The disk is full."
    ),
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) "
    "after connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection."
    "HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno -3] "
    "Temporary failure in name resolution')': /simple/torch/\n"
    "ERROR: Could not find a version that satisfies the requirement torch==2.13.0\n"
    "ERROR: No matching distribution found for torch==2.13.0": "The package index could not be",
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'ProxyError('Cannot connect to "
    "proxy.', OSError('Tunnel connection failed: 403 Forbidden'))': /simple/torch/": (
        "The proxy refused"
    ),
    "Could not fetch URL https://pypi.org/simple/torch/: There was a problem confirming the ssl "
    "certificate: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with url: "
    "/simple/torch/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: "
    "CERTIFICATE_VERIFY_FAILED] certificate verify failed')))": "The package index's certificate",
    "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host="
    "'files.pythonhosted.org', port=443): Read timed out.": "The package index could not be",
    "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'": (
        "The folder of the program cannot be written."
    ),
    "ERROR: No matching distribution found for torch==99": "The package index has no package",
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.": (
        "A package arrived damaged."
    ),
}


@pytest.mark.parametrize(("output", "advice"), FAILURES.items())
def test_failure_is_named_and_pip_is_quoted(output: str, advice: str) -> None:
    message = explain_failure(f"Collecting torch\n{output}\n")
    assert message.startswith(advice)
    assert "\n  It said: " in message


def test_unknown_failure_shows_the_last_lines() -> None:
    message = explain_failure("\n".join(f"line {number}" for number in range(50)))
    assert message.splitlines()[0] == "Its last lines were:"
    assert [line.strip() for line in message.splitlines()[1:]] == [
        f"line {n}" for n in range(40, 50)
    ]
