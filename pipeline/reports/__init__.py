"""What people look at after a run, and the tables of the thesis."""
