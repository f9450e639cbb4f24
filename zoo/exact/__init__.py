"""The same terms, exactly, where x and z can be enumerated."""
