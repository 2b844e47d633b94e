"""What is shown of the books: one record for the HTTP interface and for the pages alike."""
