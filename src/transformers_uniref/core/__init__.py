"""The ground floor: what every room needs, and what knows none of them."""
