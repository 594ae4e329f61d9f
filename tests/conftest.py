import pytest
from hypothesis import settings

# Machines are noisy, and no test of ours is about time.
settings.register_profile("bodyorder", deadline=None)
settings.load_profile("bodyorder")


@pytest.fixture
def run(capsys):
    """Run a command as a user calls it: exit code, standard output, standard error."""
    from bodyorder.cli import main

    def call(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
