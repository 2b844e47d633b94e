"""The service between a broker and a city's 311; `README.md` beside this says how it works."""
