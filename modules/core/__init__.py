"""What every other folder stands on: errors, paths, settings, hooks, logging, the App."""
