"""The page of scores: `page.write_page`."""
