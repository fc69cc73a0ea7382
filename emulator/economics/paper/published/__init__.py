"""Every number that the sources print, and the call that must give it."""
