"""Tables, made from rows."""
