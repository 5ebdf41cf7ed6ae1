"""The HTTP face: REST and what documents it, pages that links open, the development inbox."""
