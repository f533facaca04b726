"""A run as a step of a GitHub Actions job: groups, annotations, outputs, a summary."""
