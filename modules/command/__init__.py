"""What webui.py can be asked to do: serve, generate one picture, get a model, run the tests."""
