"""The rig of the measurements: namespaces, systems, transfers and reports."""
