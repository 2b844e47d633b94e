"""For residents, read only: the page, the open data and the GeoReport v2 read interface."""
