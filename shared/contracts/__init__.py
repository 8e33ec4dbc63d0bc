"""Everything that crosses a service border: one owner per topic; fields are only ever added."""
