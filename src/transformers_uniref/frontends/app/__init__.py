"""The web application: sentence, example and video in a browser; `uniref app` and the Space start the same thing."""
