"""X/Y/Z plot, prompt matrix and prompts from a file: what the scripts beside this folder use."""
