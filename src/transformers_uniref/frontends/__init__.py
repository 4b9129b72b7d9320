"""Ways for people to the library: commands and the page. They translate names and messages, and decide nothing."""
