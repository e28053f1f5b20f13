"""One document becomes fax pages: PDF, pictures, text and office files."""
