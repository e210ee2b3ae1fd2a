"""Using what the workflow has made: loading registered models, and scoring pairs of videos with them."""
