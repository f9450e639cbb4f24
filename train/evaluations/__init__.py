"""What is measured of trained models, and several of them beside each other."""
