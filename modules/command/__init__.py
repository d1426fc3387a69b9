"""What webui.py can be asked to do: serve, generate one picture, run the tests."""
