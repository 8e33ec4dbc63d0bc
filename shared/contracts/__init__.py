"""Everything that crosses a service border: one owner per topic, fields only ever added within a version."""
