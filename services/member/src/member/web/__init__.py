"""The HTTP face: the page that a verification link opens, and the development inbox."""
