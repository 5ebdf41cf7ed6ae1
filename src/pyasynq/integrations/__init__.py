"""Other frameworks: each module here is for one of them, and imported only by its users."""
