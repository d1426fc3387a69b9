"""Speed of Easel, always beside a rival in the same run."""
