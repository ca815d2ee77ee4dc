"""The papers' protocols: manifests of what is trained, adapted and evaluated, and the run from one to a table."""
