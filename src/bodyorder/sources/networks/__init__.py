"""What models in memory have in common, whatever program made them. Importing this package does not import torch."""
