"""Work of a device in a child process, whose failure is an exception here and never a wrong score."""
