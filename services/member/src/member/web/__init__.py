"""The HTTP face: REST, what documents it, and the page that a verification link opens."""
