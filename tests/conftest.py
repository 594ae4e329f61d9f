from hypothesis import settings

# Machines are noisy, and no test of ours is about time.
settings.register_profile("bodyorder", deadline=None)
settings.load_profile("bodyorder")
