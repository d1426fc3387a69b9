"""First run: the Python check, the flags, the environment. Standard library only.

This file stays empty of imports so that an old Python gets as far as python_version.py.
"""
